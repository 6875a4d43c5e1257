#!/usr/bin/env python3
"""Writes cpu.csv and gpu.csv, here or in the folder that is given, from the trace in benchmarks/instances/openb: the pods of six days that were scheduled.

The licence of the data and its source are in benchmarks/instances/openb/README.md.
"""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "../../../benchmarks/instances/openb/openb_pod_list_default.csv"
FROM, TO = 10_190_000, 10_720_000
HEADER = "arrival,duration,cpu,memory,gpu\n"


def main() -> None:
    with open(SOURCE, newline="") as file:
        pods = [pod for pod in csv.DictReader(file) if pod["scheduled_time"] and pod["deletion_time"]]
    lines: dict[str, list[tuple[int, str]]] = {"cpu.csv": [], "gpu.csv": []}
    for pod in pods:
        arrival = int(pod["creation_time"])
        if FROM <= arrival < TO:
            duration = int(pod["deletion_time"]) - int(pod["scheduled_time"])
            gpus = int(pod["num_gpu"])
            line = f"{arrival},{duration},{pod['cpu_milli']}m,{pod['memory_mib']}Mi,{gpus or ''}\n"
            lines["gpu.csv" if gpus else "cpu.csv"].append((arrival, line))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, of in lines.items():
        (folder / name).write_text(HEADER + "".join(line for _, line in sorted(of)))


if __name__ == "__main__":
    main()
