"""A pickle read as data: our own small machine, which knows no class but the stand-ins and bounds what it does.

Python's unpickler imports, calls and hands state to whatever a file names; PyTorch's restricted one still calls
NumPy, whose pickled state is trusted. Here every instruction moves plain values, every global is looked up in our own
tables, and time and memory are bounded by the size of the file: a few hundred bytes of instructions a byte at most.
"""

from __future__ import annotations

import codecs
import pickle
import pickletools
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from transfer.checkpoints import rebuild
from transfer.checkpoints.stand_ins import Dtype, Global, Inert, PendingArray, Storage, StorageType, is_inert

MOST_INSTRUCTIONS = 2_000_000  # about 4 s; a ResNet-50 with its optimizer has 20 thousand
FREE_INSTRUCTIONS = 100_000
MOST_BITS = 1 << 11  # random generators keep 128; longer numbers only cost time
LONGEST_KEY = 16  # elements of a tuple that is a dictionary's key
_HOMES = {"__builtin__": "builtins", "copy_reg": "copyreg", "pathlib._local": "pathlib"}

StorageReader = Callable[[str, int, int], Any]  # key, elements, bytes an element
Inner = Callable[[bytes], Any]


class Readable(Protocol):
    """What the instructions are read from."""

    def read(self, count: int, /) -> bytes:
        """Up to ``count`` bytes."""

    def readline(self) -> bytes:
        """Up to and including the next line break."""


class Budget:
    """What reading one file of ``size`` bytes may cost, in instructions and in bytes copied."""

    def __init__(self, size: int) -> None:
        self.instructions = min(MOST_INSTRUCTIONS, FREE_INSTRUCTIONS + size // 16)
        self.bytes = 8 * size + (1 << 20)

    def step(self) -> None:
        """Pay for one instruction."""
        self.instructions -= 1
        if self.instructions < 0:
            raise pickle.UnpicklingError("more pickle instructions than a checkpoint of its size has")

    def spend(self, count: int) -> None:
        """Pay for ``count`` bytes that are copied."""
        self.bytes -= count
        if self.bytes < 0:
            raise pickle.UnpicklingError("data that grow when they are read")


class Machine:
    """Runs one pickle after another from a stream.

    Args:
        budget: what this file may still cost.
        storage: gives the bytes of a storage by key, elements and bytes an element; None where a pickle has no data
            outside itself.
        inner: reads a whole torch file inside the pickle; None where that is not allowed.
    """

    def __init__(self, budget: Budget, storage: StorageReader | None = None, inner: Inner | None = None) -> None:
        self.budget = budget
        self.storage = storage
        self.constants = rebuild.constants()
        self.functions = {**rebuild.torch_functions(), **rebuild.numpy_functions(budget.spend), **self._plain()}
        if inner is not None:
            self.functions["torch.storage._load_from_bytes"] = inner
        self.globals: dict[str, Any] = {}
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def load(self, stream: Readable) -> Any:
        """Run up to the next STOP and return what is left on the stack.

        Raises:
            pickle.UnpicklingError: a global that is on no list, which the message names, or a cost out of bounds.
            Exception: of any kind, for bytes that are no pickle.
        """
        self.stack, self.marks, self.memo = [], [], {}
        while True:
            code = stream.read(1)
            if not code:
                raise EOFError("the pickle ends before its STOP")
            self.budget.step()
            if code == b".":
                return self._filled(self.stack.pop())
            if code not in _OPERATIONS:
                raise pickle.UnpicklingError(f"the byte {code!r}, which is no instruction of a checkpoint's pickle")
            reader, operation = _OPERATIONS[code]
            operation(self, reader(stream) if reader else None)

    # Stack and memo.

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def _push_number(self, number: int) -> None:
        if number.bit_length() > MOST_BITS:
            raise pickle.UnpicklingError(f"a number of {number.bit_length()} bits")
        self.stack.append(number)

    def _above_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._above_mark()

    def _put(self, index: int | None) -> None:
        self.memo[len(self.memo) if index is None else index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self._filled(self.memo[index]))

    @staticmethod
    def _filled(value: Any) -> Any:
        # The memo holds an array from before it was filled.
        return value.array if isinstance(value, PendingArray) and value.array is not None else value

    # Containers.

    def _extend(self, target: Any, items: Iterable[Any]) -> None:
        if type(target) is list:
            target.extend(items)
        elif isinstance(target, Inert):  # lists in disguise
            for item in items:
                target[len(target)] = item
        else:
            raise pickle.UnpicklingError("items for what is no list")

    def _append(self, _: Any) -> None:
        item = self.stack.pop()
        self._extend(self.stack[-1], [item])

    def _appends(self, _: Any) -> None:
        items = self._above_mark()
        self._extend(self.stack[-1], items)

    def _fill(self, target: Any, items: list[Any]) -> None:
        if not isinstance(target, dict):
            raise pickle.UnpicklingError("entries for what is no dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[hashable(key)] = value

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill(self.stack[-1], [key, value])

    def _setitems(self, _: Any) -> None:
        items = self._above_mark()
        self._fill(self.stack[-1], items)

    def _dict(self, _: Any) -> None:
        items = self._above_mark()
        self.stack.append({})
        self._fill(self.stack[-1], items)

    def _additems(self, _: Any) -> None:
        items = self._above_mark()
        if type(self.stack[-1]) is not set:
            raise pickle.UnpicklingError("members for what is no set")
        self.stack[-1].update(map(hashable, items))

    def _tuple(self, count: int | None) -> None:
        if count is None:
            self.stack.append(tuple(self._above_mark()))
            return
        if len(self.stack) < count:
            raise IndexError("the pickle's stack is empty")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    # Globals and what is made of them.

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._find(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise pickle.UnpicklingError("a global without a name")
        self.stack.append(self._find(module, name))

    def _find(self, module: str, name: str) -> Any:
        home = _HOMES.get(module, module)
        path = f"{home}.{name}"
        if path in self.constants:
            return self.constants[path]
        if path not in self.globals:
            if path not in self.functions and not is_inert(home, name):
                raise pickle.UnpicklingError(f"the global {module}.{name} is not allowed")
            self.globals[path] = Global(path, self.functions.get(path))
        return self.globals[path]

    def _call(self, what: Any, arguments: Any) -> Any:
        if not isinstance(what, Global):
            raise pickle.UnpicklingError("a call of what is no known class or function")
        if what.rebuild is None:
            return Inert()
        if not isinstance(arguments, tuple):
            raise pickle.UnpicklingError("a call without arguments")
        return what.rebuild(*arguments)

    def _reduce(self, _: Any) -> None:
        arguments = self.stack.pop()
        self.stack[-1] = self._call(self.stack[-1], arguments)

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # named arguments: no stand-in has any
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        items = self._above_mark()
        self._global(argument)
        self.stack[-1] = self._call(self.stack[-1], tuple(items))

    def _obj(self, _: Any) -> None:
        what, *items = self._above_mark()
        self.stack.append(self._call(what, tuple(items)))

    def _build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, PendingArray):
            target.array = rebuild.described_array(state, self.budget.spend)
            self.stack[-1] = target.array
        elif isinstance(target, Dtype):
            rebuild.described_dtype(target, state)
        elif isinstance(target, Inert):
            for part in state if isinstance(state, tuple) and len(state) == 2 else (state,):  # attributes and slots
                if isinstance(part, dict):
                    self.budget.spend(64 * len(part))
                    target.update(part)
        # Any other state belongs to a real class (a tensor's hooks, a state dict's versions): no number is in it.

    def _persistent(self, _: Any) -> None:
        pid = self.stack.pop()
        if self.storage is None:
            raise pickle.UnpicklingError("a reference to data outside the pickle")
        match pid:
            case (("storage" | b"storage"), StorageType(dtype), str(key), _, int(count), *view) if 0 <= count < 1 << 60:
                memory = self.storage(key, count, dtype.itemsize)
                self.stack.append(Storage(_part(memory, dtype.itemsize, view), dtype))
            case _:
                raise pickle.UnpicklingError("a reference to something other than a storage")

    def _plain(self) -> dict[str, Callable[..., Any]]:
        return {
            "torch._tensor._rebuild_from_type_v2": lambda what, _type, arguments, _state=None: self._call(
                what, arguments
            ),
            "collections.OrderedDict": self._mapping,
            "collections.Counter": self._mapping,
            "collections.defaultdict": lambda *_: {},
            "_codecs.encode": self._encoded,
            "builtins.bytearray": self._encoded,
            "builtins.bytes": self._encoded,
            "builtins.set": self._members,
            "builtins.frozenset": self._members,
            "builtins.complex": _complex,
        }

    def _mapping(self, items: Any = ()) -> dict[Any, Any]:
        if isinstance(items, dict):
            return items
        self.budget.spend(64 * len(items))
        pairs: dict[Any, Any] = {}
        for pair in items:
            self._fill(pairs, list(pair) if len(pair) == 2 else [])
        return pairs

    def _encoded(self, content: Any = b"", encoding: str = "latin1") -> bytes:
        # Python 2 compatible pickles write bytes as text and its encoding.
        if not isinstance(content, str | bytes | bytearray):
            raise pickle.UnpicklingError("bytes of what is no text")
        self.budget.spend(len(content))
        if not isinstance(content, str):
            return bytes(content)
        return content.encode(encoding if encoding in ("latin1", "utf-8", "ascii") else "latin1")

    def _members(self, items: Any = ()) -> set[Any]:
        self.budget.spend(64 * len(items))
        return {hashable(item) for item in items}


def hashable(key: Any) -> Any:
    """A key whose hash costs next to nothing: text, a machine number, or a short tuple of such.

    The hash of a tuple of tuples is computed anew each time, through every shared part: 60 nested pairs take years.
    Numbers of one hash fill one chain of a table.

    Raises:
        pickle.UnpicklingError: any other key.
    """
    if isinstance(key, bytearray):
        key = bytes(key)
    if isinstance(key, str | bytes | bool | Global) or key is None or type(key) is float:
        return key
    if type(key) is int and -(1 << 63) <= key < 1 << 64:
        return key
    if type(key) is tuple and len(key) <= LONGEST_KEY and not any(type(part) is tuple for part in key):
        return tuple(hashable(part) for part in key)
    raise pickle.UnpicklingError(f"a {type(key).__name__} as a key or member")


def _complex(real: Any = 0, imaginary: Any = 0) -> complex:
    if not all(type(part) in (int, float) for part in (real, imaginary)):
        raise pickle.UnpicklingError("a complex number of what are no numbers")
    return complex(real, imaginary)


def _part(memory: Any, itemsize: int, view: list[Any]) -> Any:
    """The part of a storage that PyTorch before 1.0 wrote as a view of it: (key, offset, length), or nothing."""
    if not view or view[0] is None:
        return memory
    match view[0]:
        case (_, int(offset), int(length)) if min(offset, length) >= 0:
            if (offset + length) * itemsize > memory.numel():
                raise pickle.UnpicklingError("a view that reaches beyond its storage")
            return memory[offset * itemsize : (offset + length) * itemsize]
    raise pickle.UnpicklingError("a view of something other than a storage")


def _python2_string(stream: Any) -> str:
    # pickletools takes only ASCII; Python 2 wrote arrays' bytes this way.
    raw = pickletools.read_stringnl(stream, decode=False)
    return codecs.escape_decode(raw)[0].decode("latin1")


_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "FLOAT", "BINFLOAT"), Machine._push),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), Machine._push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), Machine._push),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), Machine._push_number),
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_SET": lambda machine, _: machine._push(set()),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": Machine._pop,
    "POP_MARK": Machine._pop_mark,
    "DUP": lambda machine, _: machine._push(machine.stack[-1]),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), Machine._put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), Machine._get),
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "SETITEM": Machine._setitem,
    "SETITEMS": Machine._setitems,
    "ADDITEMS": Machine._additems,
    "LIST": lambda machine, _: machine._push(machine._above_mark()),
    "DICT": Machine._dict,
    "FROZENSET": lambda machine, _: machine._push(machine._members(machine._above_mark())),
    "TUPLE": Machine._tuple,
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._stack_global,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._reduce,
    "NEWOBJ_EX": Machine._newobj_ex,
    "INST": Machine._inst,
    "OBJ": Machine._obj,
    "BUILD": Machine._build,
    "BINPERSID": Machine._persistent,
}
# What is not here no checkpoint has: the registry of extensions, buffers outside the pickle, references as text.
_OPERATIONS: dict[bytes, tuple[Callable[[Any], Any] | None, Callable[[Machine, Any], None]]] = {
    opcode.code.encode("latin1"): (opcode.arg.reader if opcode.arg else None, _HANDLERS[opcode.name])
    for opcode in pickletools.opcodes
    if opcode.name in _HANDLERS
}
_OPERATIONS[b"S"] = (_python2_string, Machine._push)
