"""Encoded rows on disk until every row of every file has been read and found right.

Arrow files in a folder of their own beside the database, gone when the import ends: what is
imported may be larger than the memory, and nothing is stored before all of it is known to be good.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from storage.codec import Record, arrow_schema
from storage.codec import encode as arrow_table


def rows_like(template: Record, varying: Mapping[str, Sequence[object]]) -> pa.Table:
    """Rows that equal the template but in the columns given; many times faster than records."""
    one = arrow_table([template])
    count = len(next(iter(varying.values())))
    table = one.take(pa.array([0] * count, type=pa.int64()))
    for name, values in varying.items():
        at = one.schema.get_field_index(name)
        column = one.schema.field(at)
        table = table.set_column(at, column, pa.array(values, type=column.type))
    return table


class Spool:
    """Tables by kind of record, written once and then read once, in the order written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[type[Record], pa.ipc.RecordBatchFileWriter] = {}

    def write(self, kind: type[Record], table: pa.Table) -> None:
        """Add a table of this kind."""
        if kind not in self._writers:
            path = self._folder / f"{kind.__name__}.arrow"
            self._writers[kind] = pa.ipc.new_file(path, arrow_schema(kind))
        self._writers[kind].write_table(table)

    def read(self, kind: type[Record]) -> Iterator[pa.Table]:
        """Every table of this kind; it can't be written to afterwards."""
        writer = self._writers.pop(kind, None)
        if writer is None:
            return
        writer.close()
        with pa.OSFile(str(self._folder / f"{kind.__name__}.arrow")) as file:
            found = pa.ipc.open_file(file)
            for at in range(found.num_record_batches):
                yield pa.Table.from_batches([found.get_batch(at)])
