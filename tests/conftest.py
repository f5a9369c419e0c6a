"""Which tests run: the default suite leaves the slow ones out, and CI takes a share of those in turn."""

import zlib


def pytest_addoption(parser):
    parser.addoption("--slow-part", metavar="K/N", help="of the tests marked slow, and of no others, the K-th of N parts")


def pytest_collection_modifyitems(config, items):
    part = config.getoption("--slow-part")
    if part is None:
        chosen = items if config.getoption("markexpr") else [item for item in items if "slow" not in item.keywords]
    else:
        turn, turns = map(int, part.split("/"))
        slow = [item for item in items if "slow" in item.keywords]
        chosen = [item for item in slow if zlib.crc32(item.nodeid.encode()) % turns == turn % turns]
    left = [item for item in items if item not in set(chosen)] if len(chosen) < len(items) else []
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = chosen
