"""Which names a cell binds, and which it needs from the cells before it."""

from __future__ import annotations

import ast
import symtable

COMPREHENSIONS = {"listcomp", "setcomp", "dictcomp", "genexpr"}
BLOCKS = ("body", "orelse", "finalbody")


class Names:
    """The names of one cell.

    Attributes
    ----------
    bound : names that it binds at its top level
    needed : names that it reads before it binds them itself, also from within functions and classes
    """

    def __init__(self, code: str):
        self.bound: set[str] = set()
        self.needed: set[str] = set()
        self._later: set[str] = set()  # read when a function runs, so after the whole cell
        self._visit(ast.parse(code).body)
        self.needed |= self._later - self.bound

    def _visit(self, statements):
        for statement in statements:
            blocks = (
                []
                if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                else _empty(statement)
            )
            self._take(statement)
            for block in blocks:
                self._visit(block)

    def _take(self, statement):
        table = symtable.symtable(ast.unparse(statement), "cell", "exec")
        bound = set()
        for symbol in table.get_symbols():
            if symbol.is_referenced():
                self.needed |= {symbol.get_name()} - self.bound
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                bound.add(symbol.get_name())
        self._inner(table, at_once=True)
        self.bound |= bound

    def _inner(self, table, at_once):
        for child in table.get_children():
            now = at_once and (child.get_name() in COMPREHENSIONS or child.get_type() == "class")
            read = {
                symbol.get_name()
                for symbol in child.get_symbols()
                if symbol.is_global() and symbol.is_referenced()
            }
            if now:
                self.needed |= read - self.bound
            else:
                self._later |= read
            self.bound |= {
                symbol.get_name()
                for symbol in child.get_symbols()
                if symbol.is_declared_global() and symbol.is_assigned()
            }
            self._inner(child, now)


def _empty(statement):
    """Take the blocks out of a compound statement, so that its head can be read alone; return them
    in order.
    """
    blocks = []
    for name in BLOCKS:
        if block := getattr(statement, name, None):
            blocks.append(block)
            setattr(statement, name, [ast.Pass()] if name == "body" else [])
    if isinstance(statement, ast.Try | ast.TryStar):
        statement.finalbody = [ast.Pass()]
        for handler in statement.handlers:
            blocks.append(handler.body)
            handler.body = [ast.Pass()]
    if isinstance(statement, ast.Match):
        for case in statement.cases:
            blocks.append(case.body)
            case.body = [ast.Pass()]
    return blocks
