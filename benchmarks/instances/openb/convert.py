#!/usr/bin/env python3
"""Prints one Deployment for each group of equal pods in openb_pod_list_default.csv; see README.md."""

import csv
from collections import Counter
from pathlib import Path

HEADER = "# Derived by convert.py from openb_pod_list_default.csv; do not edit.\n"

DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: openb}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{tolerations}      containers:
        - {{name: main, image: registry.k8s.io/pause:3.10, resources: {resources}}}
"""

TOLERATIONS = "      tolerations: [{key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}]\n"


def deployment(cpu_milli: int, memory_mib: int, gpus: int, replicas: int) -> str:
    requests = {"cpu": f"{cpu_milli}m"}
    if memory_mib:
        requests["memory"] = f"{memory_mib}Mi"
    resources = {"requests": requests}
    if gpus:
        requests["nvidia.com/gpu"] = str(gpus)
        resources["limits"] = {"nvidia.com/gpu": str(gpus)}  # extended resources: limits equal requests
    return DEPLOYMENT.format(
        name=f"cpu-{cpu_milli}m-memory-{memory_mib}mi-gpu-{gpus}",
        replicas=replicas,
        tolerations=TOLERATIONS if gpus else "",
        resources=flow(resources),
    )


def flow(value) -> str:
    """A mapping in YAML's flow style; counts are quoted, as Kubernetes quantities are strings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    return f'"{value}"' if value.isdigit() else value


def main() -> None:
    with open(Path(__file__).with_name("openb_pod_list_default.csv"), newline="") as file:
        groups = Counter(
            (int(pod["cpu_milli"]), int(pod["memory_mib"]), int(pod["num_gpu"])) for pod in csv.DictReader(file)
        )
    print(HEADER + "".join(deployment(*size, replicas) for size, replicas in sorted(groups.items())), end="")


if __name__ == "__main__":
    main()
