#!/usr/bin/env python3
"""Writes ec2_types.tsv, the bundled EC2 catalogue, and tests/data/ec2_allocatable.tsv, what its test compares with.

usage: generate.py DIR, where DIR holds instance_types.json, vpc_limits.json and ondemand_prices.json (README.md says
where the facts come from). Run from the root of the repository; needs the Python standard library only.
"""

import json
import pathlib
import sys

SOURCE = pathlib.Path(sys.argv[1])
PREFIX = "karpenter.k8s.aws/instance-"
REGIONS = ["us-east-1", "us-gov-west-1", "us-gov-east-1"]
# In yuan.
CHINA = "cn-north-1"
# Network cards (interfaces of each) and IPv4 addresses an interface of types that the limits table does not have.
# Source: the EC2 user guide, "IP addresses per network interface".
MISSING_LIMITS = {
    "hpc6a.48xlarge": ([2], 50),
    "hpc6id.32xlarge": ([1, 1], 50),
    "hpc7a.12xlarge": ([2, 2], 50),
    "hpc7a.24xlarge": ([2, 2], 50),
    "hpc7a.48xlarge": ([2, 2], 50),
    "hpc7a.96xlarge": ([2, 2], 50),
    "hpc8a.96xlarge": ([2, 2], 50),
    "trn2.48xlarge": ([2] * 16, 50),
}
COLUMNS = [
    "name", "arch", "vcpus", "memory_mib", "cpu_manufacturer", "clock_mhz", "ebs_mbps", "network_mbps",
    "encryption_in_transit", "hypervisor", "local_nvme_gb", "gpu_name", "gpu_manufacturer", "gpu_count", "gpu_mib",
    "accelerator_name", "accelerator_manufacturer", "accelerator_count", "neuron_cores", "efa_interfaces",
    "network_card_interfaces", "ipv4_per_interface", "branch_interfaces",
] + [f"micro_usd_{region}" for region in REGIONS] + [f"micro_cny_{CHINA}"]  # fmt: skip


def load(name):
    return json.loads((SOURCE / name).read_text())


def row(name, labels, resources, limits, prices):
    def label(key):
        return labels.get(PREFIX + key, "")

    if name in limits:
        limit = limits[name]
        assert limit["DefaultNetworkCardIndex"] == 0, name
        cards = [card["MaximumNetworkInterfaces"] for card in limit["NetworkCards"]]
        assert len(set(cards)) == 1, name
        ipv4 = limit["IPv4PerInterface"]
        branch = limit["BranchInterface"] if limit["IsTrunkingCompatible"] else 0
    else:
        cards, ipv4 = MISSING_LIMITS[name]
        branch = 0
    return [
        name, labels["kubernetes.io/arch"], label("cpu"), label("memory"), label("cpu-manufacturer"),
        label("cpu-sustained-clock-speed-mhz"), label("ebs-bandwidth"), label("network-bandwidth"),
        label("encryption-in-transit-supported"), label("hypervisor"), label("local-nvme"), label("gpu-name"),
        label("gpu-manufacturer"), label("gpu-count"), label("gpu-memory"), label("accelerator-name"),
        label("accelerator-manufacturer"), label("accelerator-count"),
        resources.get("aws.amazon.com/neuroncore", ""), resources.get("vpc.amazonaws.com/efa", ""),
        f"{len(cards)}x{cards[0]}", str(ipv4), str(branch),
    ] + [micro(prices[region].get(name)) for region in [*REGIONS, CHINA]]  # fmt: skip


def micro(price):
    return "" if price is None else str(round(price * 1_000_000))


def write(path, columns, rows):
    path.write_text("".join("\t".join(cells) + "\n" for cells in [columns, *rows]))


def main():
    types, limits, prices = load("instance_types.json"), load("vpc_limits.json"), load("ondemand_prices.json")
    here = pathlib.Path("src/catalog/data")
    rows = [row(name, t["labels"], t["resources"], limits, prices) for name, t in sorted(types.items())]
    write(here / "ec2_types.tsv", COLUMNS, rows)
    names = sorted({resource for t in types.values() for resource in t["resources"]})
    expected = [[name] + [t["resources"].get(r, "") for r in names] for name, t in sorted(types.items())]
    write(pathlib.Path("tests/data/ec2_allocatable.tsv"), ["name", *names], expected)


main()
