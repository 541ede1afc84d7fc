"""One command of a study, and the order that its needs give."""

from pathlib import Path

from transfer.studies.step import Step, in_order


def make(name, *needs, arguments=("-m", "transfer")):
    return Step("finetune", name, "k", arguments, Path(name), Path(f"{name}.log"), needs)


def test_the_command_can_be_typed_whatever_its_words_hold():
    step = make("a", arguments=("-m", "transfer.train_net", "OUTPUT_DIR", "a folder/x", "SOLVER.STEPS", "(3,)"))
    assert step.command == "python -m transfer.train_net OUTPUT_DIR 'a folder/x' SOLVER.STEPS '(3,)'"
    assert step.id == "finetune_a_k"


def test_needs_come_first_and_each_step_once():
    data = make("data")
    pretrain = make("pretrain", data)
    convert = make("convert", pretrain)
    one, two = make("one", data, convert), make("two", data, convert)
    assert [step.name for step in in_order([two, one])] == ["data", "pretrain", "convert", "two", "one"]
    assert in_order([]) == []
