"""Which codes the sources raise, found by reading them: also those that helpers are given."""

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_NOTED = ("note", "warn", "question", "ask")
_PASSES_ON = "data_prep/core/findings.py"  # raises only the codes that it is given
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Sink(NamedTuple):
    """A function that raises a code it is given: as which argument, and which by default."""

    name: str
    number: int
    keyword: str
    default: ast.expr | None = None


def raised_codes() -> dict[str, set[str]]:
    """Return the places that raise each code of the package, `file:line`.

    Raises:
        LookupError: for a place where the code cannot be told.
    """
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for top in ("data_prep", "sdunet")
        for path in sorted((ROOT / top).rglob("*.py"))
    }
    del trees[_PASSES_ON]
    sinks = {Sink("DataError", 0, "code")}
    sinks |= {Sink(name, 1, "code") for name in ("Finding", "Question")}
    sinks |= {Sink(name, 0, "code") for name in _NOTED}
    found: dict[str, set[str]] = {}
    known: set[Sink] = set()
    while sinks - known:
        known = set(sinks)
        for file, tree in trees.items():
            _within(tree, tree, (), file, sinks, found)
    return found


def asked_codes() -> set[str]:
    """Return the codes that are refused unless accepted, where they are written out."""
    return {
        node.args[0].value
        for path in (ROOT / "data_prep").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", None) == "ask"
        and isinstance(node.args[0], ast.Constant)
    }


def _within(node, tree, functions, file, sinks, found):
    """Add the codes of all calls below a node, which lies in `functions`, the innermost last."""
    if isinstance(node, ast.Call) and (sink := _sink_of(node, sinks)):
        code = next((k.value for k in node.keywords if k.arg == sink.keyword), sink.default)
        if len(node.args) > sink.number:
            code = node.args[sink.number]
        place = f"{file}:{node.lineno}"
        for name in _told(code, tree, functions, sinks, place):
            found.setdefault(name, set()).add(place)
    if isinstance(node, _FUNCTIONS):
        functions = (*functions, node)
    for child in ast.iter_child_nodes(node):
        _within(child, tree, functions, file, sinks, found)


def _sink_of(call, sinks):
    name = getattr(call.func, "id", getattr(call.func, "attr", None))
    if name in _NOTED and "indings" not in ast.unparse(call.func.value):
        return None  # something else is noted or warned of
    return next((sink for sink in sinks if sink.name == name), None)


def _told(code, tree, functions, sinks, place) -> set[str]:
    """Return the codes that an expression may be; one that a caller gives makes another sink."""
    if isinstance(code, ast.Constant) and isinstance(code.value, str):
        return {code.value}
    if isinstance(code, ast.Attribute) and code.attr == "code":
        return set()  # of another error, passed on
    if isinstance(code, ast.IfExp):
        both = (_told(part, tree, functions, sinks, place) for part in (code.body, code.orelse))
        return set.union(*both)
    if isinstance(code, ast.Name):
        function = functions[-1] if functions else None
        if function and (sink := _given(code.id, function)):
            sinks.add(sink)
            return set()
        values = [v for scope in (function, tree) if scope for v in _assigned(code.id, scope)]
        if values:
            return set.union(*(_told(v, tree, functions, sinks, place) for v in values))
    raise LookupError(f"{place}: the code of this call cannot be told: {ast.unparse(code)}")


def _given(name, function) -> Sink | None:
    """Return the function as a sink, if `name` is an argument of it."""
    arguments = function.args.args
    numbers = [i for i, argument in enumerate(arguments) if argument.arg == name]
    if not numbers:
        return None
    from_end = numbers[0] - len(arguments) + len(function.args.defaults)
    default = function.args.defaults[from_end] if from_end >= 0 else None
    number = numbers[0] - (arguments[0].arg in ("self", "cls"))
    return Sink(function.name, number, name, default)


def _assigned(name, scope) -> list[ast.expr]:
    """Return what is assigned to a name, alone or as part of a tuple."""
    values = []
    for node in ast.walk(scope):
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Name) and target.id == name:
                values.append(node.value)
            elif isinstance(target, ast.Tuple):
                places = [i for i, t in enumerate(target.elts) if getattr(t, "id", None) == name]
                values += [part for i in places for part in _parts(node.value, i)]
    return values


def _parts(value, number) -> list[ast.expr]:
    if isinstance(value, ast.IfExp):
        return [*_parts(value.body, number), *_parts(value.orelse, number)]
    return [value.elts[number]] if isinstance(value, ast.Tuple) else [value]
