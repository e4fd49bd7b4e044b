"""What one user sees of one object: field-level security, applied before anything else."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connectors.sandbox.deployed.metadata import (
    Field,
    Metadata,
    ObjectAccess,
    PermissionSet,
    SObject,
)
from connectors.sandbox.errors import not_found

ADMIN_ACCESS = ObjectAccess(read=True, create=True, edit=True, delete=True, view_all=True)
READ_ONLY = ObjectAccess(read=True, create=False, edit=False, delete=False, view_all=True)
VIEW_ALL = "ViewAllData"  # the user permission by which sharing hides nothing
Link = tuple["View", Field]


@dataclass(frozen=True, slots=True)
class User:
    """Somebody with a session.

    Attributes:
        sequence: Number behind the user's record id.
        permission_set: What they may do; None for the administrator, who may do everything.

    """

    sequence: int
    username: str
    permission_set: str | None


@dataclass(frozen=True, slots=True)
class View:
    """An object as one user sees it.

    Attributes:
        prefix: The object's key prefix.
        fields: Readable fields by lower-case name.
        editable: Canonical names of the fields the user may write.
        access: What they may do with rows.
        parents: The objects that references point at, as far as the user sees them, by the
            references' names.

    """

    sobject: SObject
    prefix: str
    fields: Mapping[str, Field]
    editable: frozenset[str]
    access: ObjectAccess
    parents: dict[str, "View"] = field(default_factory=dict, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The object's canonical name."""
        return self.sobject.name

    def field(self, name: str) -> Field | None:
        """Return a readable field, whatever the case of *name*."""
        return self.fields.get(name.lower())

    @property
    def sees_all(self) -> bool:
        """Whether sharing hides no row."""
        return self.access.view_all or not self.sobject.is_private

    def may_see(self, owner: int, user: User) -> bool:
        """Return whether sharing shows *user* a row that belongs to *owner*."""
        return self.sees_all or owner == user.sequence


def view_of(sobject: SObject, prefix: str, permissions: PermissionSet | None) -> View | None:
    """Return *sobject* under *permissions* (None: administrator), or None if it is hidden.

    Required fields cannot carry field permissions and are always readable and writable. What
    has no table of its own everybody may read, and nobody write.
    """
    access = ADMIN_ACCESS if permissions is None else permissions.objects.get(sobject.name)
    if access is not None and permissions is not None and VIEW_ALL in permissions.permissions:
        access = replace(access, view_all=True)
    if sobject.rows is not None:
        access = READ_ONLY
    if access is None or not access.read:
        return None

    def allowed(field: Field, names: frozenset[str]) -> bool:
        return not field.is_permissionable or f"{sobject.name}.{field.name}" in names

    if permissions is None or sobject.rows is not None:
        visible = sobject.fields
        writable = visible
    else:
        sees_all = access.view_all_fields
        visible = tuple(f for f in sobject.fields if sees_all or allowed(f, permissions.readable))
        writable = tuple(f for f in visible if allowed(f, permissions.editable))
    return View(
        sobject=sobject,
        prefix=prefix,
        fields={f.name.lower(): f for f in visible},
        editable=frozenset(f.name for f in writable if f.is_writable),
        access=access,
    )


class Views:
    """Every object under every permission set, worked out once.

    Attributes:
        dependents: Every (view, field) whose rows a delete concerns, by the object that the
            field points at. Views are the administrator's: what a user sees of such rows does
            not matter.

    """

    def __init__(self, metadata: Metadata, prefixes: Mapping[str, str]) -> None:
        """Build the views.

        Args:
            metadata: What is deployed.
            prefixes: Key prefix by object.

        """
        self.made_at = int(time.time())  # in seconds since 1970: describe has not changed since
        everybody: list[tuple[str | None, PermissionSet | None]] = [(None, None)]
        everybody += list(metadata.permission_sets.items())
        objects = [
            _linked(sobject, metadata.objects, prefixes) for sobject in metadata.objects.values()
        ]
        self._views: dict[str | None, dict[str, View]] = {}
        self._parents: dict[str | None, dict[tuple[str, str], Link]] = {}
        self._children: dict[str | None, dict[tuple[str, str], Link]] = {}
        for name, permissions in everybody:
            seen = (view_of(o, prefixes[o.name], permissions) for o in objects)
            views = {v.name.lower(): v for v in seen if v is not None}
            self._views[name] = views
            self._parents[name], self._children[name] = _links(views)
        self.dependents = _dependents(self._views[None].values())
        self._permissions = {n: s.permissions for n, s in metadata.permission_sets.items()}

    def permits(self, user: User, permission: str) -> bool:
        """Return whether *user* has the user permission; the administrator has every one."""
        if user.permission_set is None:
            return True
        return permission in self._permissions.get(user.permission_set, frozenset())

    def all(self, user: User) -> list[View]:
        """Return the objects that *user* sees, by name."""
        return list(self._views.get(user.permission_set, {}).values())

    def find(self, user: User, name: str) -> View | None:
        """Return the object of that name, whatever its case, or None if *user* sees none."""
        return self._views.get(user.permission_set, {}).get(name.lower())

    def parent(self, user: User, view: View, relationship: str) -> Link | None:
        """Return what *relationship* leads to, such as ``Account``: the view and *view*'s field."""
        links = self._parents.get(user.permission_set, {})
        return links.get((view.name, relationship.lower()))

    def child(self, user: User, view: View, child_relationship: str) -> Link | None:
        """Return the rows that *view* lists so, such as ``Contacts``: their view and field."""
        links = self._children.get(user.permission_set, {})
        return links.get((view.name, child_relationship.lower()))

    def children(self, user: User, view: View) -> list[Link]:
        """Return every (view, field) that points at *view*, as far as *user* sees them."""
        views = self._views.get(user.permission_set, {}).values()
        return [(v, f) for v in views for f in v.fields.values() if view.name in f.references]

    def get(self, user: User, name: str) -> View:
        """Return the object of that name, whatever its case.

        Raises:
            ApiError: 404, there is none that *user* sees.

        """
        view = self.find(user, name)
        if view is None:
            raise not_found()
        return view


def _linked(
    sobject: SObject, objects: Mapping[str, SObject], prefixes: Mapping[str, str]
) -> SObject:
    """Return *sobject* with the key prefixes of its references, as private as its master."""
    master = sobject.master
    is_private = sobject.is_private
    while master is not None:
        is_private = objects[master.references[0]].is_private
        master = objects[master.references[0]].master
    fields = (
        replace(f, key_prefix=prefixes.get(f.references[0], "")) if f.references else f
        for f in sobject.fields
    )
    return replace(sobject, fields=tuple(fields), is_private=is_private)


def _links(
    views: Mapping[str, View],
) -> tuple[dict[tuple[str, str], Link], dict[tuple[str, str], Link]]:
    """Return parents and children, each by (object, lower-case name of the relationship).

    Lets each of *views* know its parents, too.
    """
    parents: dict[tuple[str, str], Link] = {}
    children: dict[tuple[str, str], Link] = {}
    for view in views.values():
        for reference in view.fields.values():
            parent = views.get(reference.references[0].lower()) if reference.references else None
            if parent is not None and reference.relationship:
                parents[view.name, reference.relationship.lower()] = parent, reference
                view.parents[reference.name] = parent
            if parent is not None and reference.child_relationship:
                children[parent.name, reference.child_relationship.lower()] = view, reference
    return parents, children


def _dependents(views: Iterable[View]) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = {}
    for view in views:
        for reference in view.sobject.fields:
            if reference.on_delete is not None:
                found.setdefault(reference.references[0], []).append((view, reference))
    return found
