"""SOQL, parsed by recursive descent. Pure: text in, tree out.

``SELECT items FROM object [alias] [USING SCOPE scope] [WHERE condition] [WITH mode]
[GROUP BY fields [HAVING condition]] [ORDER BY terms] [LIMIT n] [OFFSET n]
[FOR VIEW | FOR REFERENCE | FOR UPDATE]``

Source: SOQL and SOSL Reference, "SOQL SELECT Syntax".
"""

from connectors.sandbox.errors import ApiError, refuse
from connectors.sandbox.soql.conditions import ConditionParser
from connectors.sandbox.soql.lexer import Token, pointed, tokens_of, unexpected
from connectors.sandbox.soql.tree import Alias, Condition, FieldGroup, Group, Item, Ordering, Query

MAX_LEVELS = 5  # of subqueries in the field list; Salesforce's limit
_MODES = frozenset({"SECURITY_ENFORCED", "USER_MODE"})
_GROUPS: dict[str, Group] = {"ALL": "ALL", "STANDARD": "STANDARD", "CUSTOM": "CUSTOM"}


def parse(text: str) -> Query:
    """Return the query in *text*.

    Raises:
        ApiError: 400 MALFORMED_QUERY.

    """
    return _QueryParser(tokens_of(text), text).whole()


class _QueryParser(ConditionParser):
    """Clauses; conditions and tokens come from below."""

    def whole(self) -> Query:
        query = self._query(0)
        if self.skip("FOR") and not (
            self.skip("VIEW") or self.skip("REFERENCE") or self.skip("UPDATE")
        ):
            raise unexpected(self.text, self.peek())
        if self.skip("ALL"):
            self.word("ROWS")
            raise refuse(400, "MALFORMED_QUERY", "ALL ROWS not allowed in this context")
        if self.peek().kind != "end":
            raise unexpected(self.text, self.peek())
        return query

    def subquery(self) -> Query:
        """Parse the inside of a semi-join, which has no more than a WHERE."""
        self.word("SELECT")
        items: tuple[Item | FieldGroup | Query, ...] = (self.item(),)
        self.word("FROM")
        source, aliases = self._source()
        where = self.condition(0) if self.skip("WHERE") else None
        return Query(self.text, items, source.path, source.at, aliases, where=where)

    def _query(self, level: int) -> Query:
        self.word("SELECT")
        items = self._items(level)
        self.word("FROM")
        source, aliases = self._source()
        is_mine = self._scope()
        where = self.condition(0) if self.skip("WHERE") else None
        self._mode()
        group_by, having = self._grouping()
        order_by: tuple[Ordering, ...] = ()
        if self.skip("ORDER"):
            self.word("BY")
            order_by = self._orderings()
        limit = self.count() if self.skip("LIMIT") else None
        offset = self.count() if self.skip("OFFSET") else 0
        return Query(
            self.text,
            items,
            source.path,
            source.at,
            aliases,
            is_mine,
            where,
            group_by,
            having,
            order_by,
            limit,
            offset,
        )

    def _items(self, level: int) -> tuple[Item | FieldGroup | Query, ...]:
        items: list[Item | FieldGroup | Query] = []
        while True:
            if self.skip_sign("("):
                items.append(self._child(level))
            elif self.next_is("TYPEOF") and self.peek(1).kind == "name":
                raise self._refused(self.peek(), "TYPEOF")
            elif self.next_is("FIELDS") and self.peek(1).text == "(":
                items.append(self._fields())
            elif self.next_is("COUNT") and self.peek(1).text == "(" and self.peek(2).text == ")":
                if items:
                    raise unexpected(self.text, self.peek())
                for _ in range(3):
                    self.take()
                return ()
            else:
                items.append(self._selected())
            if not self.skip_sign(","):
                return tuple(items)

    def _selected(self) -> Item:
        item = self.item()
        if self.peek().kind != "name" or self.next_is("FROM"):
            return item
        alias = self.name()
        return Item(item.path, item.at, item.function, alias.text)

    def _child(self, level: int) -> Query:
        if level == MAX_LEVELS - 1:
            raise self._refused(self.peek(), f"A subquery more than {MAX_LEVELS - 1} levels down")
        query = self._query(level + 1)
        self.sign(")")
        return query

    def _fields(self) -> FieldGroup:
        at = self.take().at
        self.sign("(")
        token = self.name()
        group = _GROUPS.get(token.text.upper())
        if group is None:
            raise unexpected(self.text, token)
        self.sign(")")
        return FieldGroup(group, at)

    def _source(self) -> tuple[Item, tuple[Alias, ...]]:
        token = self.name()
        source = Item(token.text, token.at)
        aliases: list[Alias] = []
        if self._names_next():
            aliases.append(Alias(self.name().text, "", token.at))
        while self.skip_sign(","):
            path = self.name()
            aliases.append(Alias(self.name().text, path.text, path.at))
        return source, tuple(aliases)

    def _names_next(self) -> bool:
        """Return whether an alias comes next, perhaps after ``AS``."""
        if self.skip("AS"):
            return True
        is_clause = any(self.next_is(word) for word in ("USING", "WITH", "FOR", "ALL"))
        return self.peek().kind == "name" and not self.is_reserved() and not is_clause

    def _scope(self) -> bool:
        if not self.skip("USING"):
            return False
        self.word("SCOPE")
        if self.skip("EVERYTHING"):
            return False
        self.word("MINE")
        return True

    def _mode(self) -> None:
        """Take WITH: what it asks for is what this API does anyway."""
        if self.skip("WITH"):
            token = self.name()
            if token.text.upper() not in _MODES:
                raise unexpected(self.text, token)

    def _grouping(self) -> tuple[tuple[Item, ...], Condition | None]:
        if not self.skip("GROUP"):
            return (), None
        self.word("BY")
        if (self.next_is("ROLLUP") or self.next_is("CUBE")) and self.peek(1).text == "(":
            raise self._refused(self.peek(), f"GROUP BY {self.peek().text.upper()}")
        fields = [self.item()]
        while self.skip_sign(","):
            fields.append(self.item())
        return tuple(fields), self.condition(0) if self.skip("HAVING") else None

    def _orderings(self) -> tuple[Ordering, ...]:
        orderings: list[Ordering] = []
        while True:
            item = self.item()
            is_descending = self.skip("DESC")
            if not is_descending:
                self.skip("ASC")
            nulls_last = False  # SOQL's default in both directions
            if self.skip("NULLS"):
                nulls_last = self.skip("LAST")
                if not nulls_last:
                    self.word("FIRST")
            orderings.append(Ordering(item, is_descending, nulls_last))
            if not self.skip_sign(","):
                return tuple(orderings)

    def _refused(self, token: Token, what: str) -> ApiError:
        message = pointed(self.text, token.at, f"{what} is not supported")
        return refuse(400, "MALFORMED_QUERY", message)
