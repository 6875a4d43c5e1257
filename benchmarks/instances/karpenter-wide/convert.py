#!/usr/bin/env python3
"""Prints the Deployments of karpenter_wide_deployments.csv; see README.md."""

import csv
from pathlib import Path

HEADER = "# Derived by convert.py from karpenter_wide_deployments.csv; do not edit.\n"

DEPLOYMENT = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}, namespace: wide}}
spec:
  replicas: {initial_replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
{rules}      containers:
        - name: main
          image: registry.k8s.io/pause:3.10
          resources: {{requests: {{cpu: {cpu_milli}m, memory: {memory_mib}Mi}}}}
"""

ANTI_AFFINITY = """\
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            - {{topologyKey: kubernetes.io/hostname, labelSelector: {{matchLabels: {{app: {name}}}}}}}
"""

SPREAD = """\
        - topologyKey: {key}
          maxSkew: {max_skew}
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {{matchLabels: {{app: {name}}}}}
"""


def deployment(row: dict) -> str:
    rules = ANTI_AFFINITY.format(**row) if row["hostname_anti_affinity"] == "True" else ""
    spread = ""
    if row["hostname_spread"] == "True":
        spread += SPREAD.format(key="kubernetes.io/hostname", max_skew=1, **row)
    if row["zone_spread_max_skew"]:
        spread += SPREAD.format(key="topology.kubernetes.io/zone", max_skew=row["zone_spread_max_skew"], **row)
    if spread:
        rules += "      topologySpreadConstraints:\n" + spread
    return DEPLOYMENT.format(rules=rules, **row)


def main() -> None:
    with open(Path(__file__).with_name("karpenter_wide_deployments.csv"), newline="") as file:
        print(HEADER + "".join(deployment(row) for row in csv.DictReader(file)), end="")


if __name__ == "__main__":
    main()
