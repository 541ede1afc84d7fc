from types import SimpleNamespace

from transfer.doctor.findings import Finding, Situation, value


def test_a_finding_reads_as_two_lines():
    finding = Finding("error", "expected RGB, found BGR", "INPUT.FORMAT", "wrong colours", "set it to RGB")
    assert str(finding) == "error: INPUT.FORMAT: expected RGB, found BGR\n  wrong colours; set it to RGB"


def test_dotted_keys():
    cfg = SimpleNamespace(MODEL=SimpleNamespace(BACKBONE=SimpleNamespace(FREEZE_AT=2)))
    assert value(cfg, "MODEL.BACKBONE.FREEZE_AT") == 2


def test_what_a_situation_is():
    model = SimpleNamespace(WEIGHTS="")
    situation = Situation(SimpleNamespace(MODEL=model))
    assert not situation.has_weights
    assert Situation(SimpleNamespace(MODEL=model), {"arch": "resnet18"}).has_weights
