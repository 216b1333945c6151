"""Documents of single resources and of collections, shaped by the query options."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from fairlead.admin import query
from fairlead.admin.http import Answer, Call

Json = Any


def _fields(call: Call) -> dict[str, list[str]]:
    wanted: dict[str, list[str]] = {}
    for name, text in call.option_list:
        if name.startswith("fields[") and name.endswith("]"):
            paths = [path.strip() for path in text.split(",") if path.strip()]
            wanted.setdefault(name[len("fields[") : -1], []).extend(paths)
    return wanted


def single(call: Call, resource: dict[str, Json]) -> Answer:
    """The document of one resource."""
    return Answer(200, {"data": query.sparse(resource, _fields(call)), "links": {"self": call.self_link}})


def collection(call: Call, resources: list[dict[str, Json]]) -> Answer:
    """The document of a collection: filtered, then paged, then pruned."""
    tests = query.parse_filters(call.option_list)
    if tests:
        resources = [each for each in resources if all(test(each) for test in tests)]
    document: dict[str, Json] = {"links": {"self": call.self_link}}
    page = query.page_of(call.options)
    total = len(resources)
    if page is not None and total > page[0]:
        size, number = page
        document["meta"] = {"total": total}
        document["links"] = _page_links(call, size, number, total)
        resources = resources[size * number : size * (number + 1)]
    wanted = _fields(call)
    document["data"] = [query.sparse(each, wanted) for each in resources]
    return Answer(200, document)


def _page_links(call: Call, size: int, number: int, total: int) -> dict[str, str]:
    last = (total - 1) // size
    links = {
        "self": page_link(call, number=number),
        "first": page_link(call, number=0),
        "last": page_link(call, number=last),
    }
    if number > 0:
        links["prev"] = page_link(call, number=min(number - 1, last))
    if number < last:
        links["next"] = page_link(call, number=number + 1)
    return links


def page_link(call: Call, **page: int | None) -> str:
    """The link of this request with other `page[...]` options; None leaves one out."""
    changed = {f"page[{name}]": value for name, value in page.items()}
    options = [(name, value) for name, value in call.option_list if name not in changed]
    options += [(name, str(value)) for name, value in changed.items() if value is not None]
    text = "&".join(f"{quote(name, safe='[]/')}={quote(value, safe='/,')}" for name, value in options)
    return f"{call.self_link}?{text}" if text else call.self_link
