"""How a server that runs for weeks asks for memory: what its threads are done with goes back.

The labeling server has some 170 threads, 128 of them Quack's, who answer the other commands. Left
alone, DuckDB's allocator (jemalloc) keeps up to some megabytes for each thread that ever read a
table, and the C library's has eight heaps per processor that fragment apart: 300 MB after a few
rounds that nothing counts, duckdb_memory() neither.
"""

import ctypes
import os
import platform

_M_ARENA_MAX = -8  # malloc.h
_JEMALLOC = "DUCKDB_JE_MALLOC_CONF"


def give_memory_back() -> None:
    """Call before duckdb is imported, which reads the environment then; what is set there stands."""
    os.environ.setdefault(_JEMALLOC, "tcache_max:4096")  # bytes: a vector of DuckDB's is larger
    if platform.libc_ver()[0] == "glibc" and "MALLOC_ARENA_MAX" not in os.environ:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, max(2, os.cpu_count() or 2))
