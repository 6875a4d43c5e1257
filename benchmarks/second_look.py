#!/usr/bin/env python3
"""What a second look at a cluster still finds: pods come to a cluster whose consolidation has come to its end, `plan --scope all` launches
for them and consolidates, its answer is carried out, and `plan --scope consolidate` looks at what came of it.

    benchmarks/second_look.py PACKWRIGHT CLUSTERS [TIME_LIMIT]

Clusters have 8 to 40 nodes of six types, filled by lot between a fifth and all of their cpu. One line for each: seed, pods, pods that came,
dollars an hour after the first look and after the second, pods that the second one moves, those of them that had just come, nodes
that the first one launched, and those of them that the second one removes.
"""

import json
import random
import statistics
import subprocess
import sys

SIZES = [(250, 512), (500, 1024), (1000, 2048), (1500, 4096), (2000, 3072), (500, 3000), (3000, 6000)]
KINDS = ["m6i.2xlarge", "m5a.xlarge", "c6i.2xlarge", "r5a.xlarge", "m6a.4xlarge", "c5a.4xlarge"]
BOUGHT = "2026-01-05T11:00:00Z"

NODE_CLASS = {
    "apiVersion": "karpenter.k8s.aws/v1", "kind": "EC2NodeClass", "metadata": {"name": "default"},
    "spec": {
        "amiFamily": "AL2023", "role": "nodes",
        "subnetSelectorTerms": [{"tags": {"a": "b"}}], "securityGroupSelectorTerms": [{"tags": {"a": "b"}}],
    },
}


def node_pool():
    def within(key, *values):
        return {"key": key, "operator": "In", "values": list(values)}

    wanted = [
        within("karpenter.sh/capacity-type", "on-demand"), within("kubernetes.io/arch", "amd64"),
        within("karpenter.k8s.aws/instance-category", "c", "m", "r"),
        within("karpenter.k8s.aws/instance-size", "large", "xlarge", "2xlarge", "4xlarge"),
    ]
    reference = {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}
    disruption = {"consolidationPolicy": "WhenEmptyOrUnderutilized", "consolidateAfter": "0s", "budgets": [{"nodes": "100%"}]}
    template = {"spec": {"requirements": wanted, "nodeClassRef": reference}}
    return {
        "apiVersion": "karpenter.sh/v1", "kind": "NodePool", "metadata": {"name": "general"},
        "spec": {"template": template, "limits": {"cpu": "10000"}, "disruption": disruption},
    }


def node(name, kind, types):
    allocatable = {key: f"{value}m" if key == "cpu" else value for key, value in types[kind]["allocatable"].items()}
    family, size = kind.split(".")
    labels = {
        "karpenter.sh/nodepool": "general", "node.kubernetes.io/instance-type": kind,
        "topology.kubernetes.io/zone": "us-east-1a", "topology.kubernetes.io/region": "us-east-1",
        "karpenter.sh/capacity-type": "on-demand", "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
        "karpenter.k8s.aws/instance-category": family[0], "karpenter.k8s.aws/instance-family": family,
        "karpenter.k8s.aws/instance-size": size,
    }

    def true(condition):
        return {"type": condition, "status": "True", "reason": condition, "message": "", "lastTransitionTime": BOUGHT}

    provider_id = f"aws:///us-east-1a/{name}"
    claim = {
        "apiVersion": "karpenter.sh/v1", "kind": "NodeClaim",
        "metadata": {"name": f"claim-{name}", "uid": f"claim-{name}", "labels": labels, "creationTimestamp": BOUGHT},
        "spec": {
            "nodeClassRef": {"group": "karpenter.k8s.aws", "kind": "EC2NodeClass", "name": "default"}, "expireAfter": "Never",
            "requirements": [{"key": "karpenter.sh/nodepool", "operator": "In", "values": ["general"]}],
        },
        "status": {
            "providerID": provider_id, "nodeName": name,
            "conditions": [true("Launched"), true("Registered"), true("Initialized")],
        },
    }
    own = {"kubernetes.io/hostname": name, "karpenter.sh/registered": "true", "karpenter.sh/initialized": "true"}
    born = {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "uid": name, "labels": labels | own, "creationTimestamp": BOUGHT},
        "spec": {"providerID": provider_id},
        "status": {"capacity": allocatable, "allocatable": allocatable, "conditions": [true("Ready")]},
    }
    return [claim, born]


def pod(name, size, on):
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "a", "controller": True}
    requests = {"cpu": f"{size[0]}m", "memory": f"{size[1]}Mi"}
    spec = {"containers": [{"name": "main", "image": "main", "resources": {"requests": requests}}]}
    waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "", "lastTransitionTime": BOUGHT}
    status = {"phase": "Running", "startTime": BOUGHT} if on else {"phase": "Pending", "conditions": [waits]}
    return {
        "apiVersion": "v1", "kind": "Pod", "status": status, "spec": spec | ({"nodeName": on} if on else {}),
        "metadata": {"name": name, "uid": name, "namespace": "default", "labels": {"app": "a"}, "ownerReferences": [owner]},
    }


class Cluster:
    def __init__(self, program, limit, types, seed):
        self.program, self.limit, self.types = program, limit, types
        self.nodes, self.pods, self.launched = {}, {}, set()
        dice = random.Random(seed)
        for index in range(dice.randint(8, 40)):
            kind = dice.choice(KINDS)
            self.nodes[f"n{index}"] = kind
            allocatable = types[kind]["allocatable"]
            cpu, memory = allocatable["cpu"] * dice.uniform(0.2, 1), allocatable["memory"] / 2**20 * 0.95
            while True:
                size = dice.choice(SIZES)
                cpu, memory = cpu - size[0], memory - size[1]
                if min(cpu, memory) < 0:
                    break
                self.pods[f"p{len(self.pods)}"] = [size, f"n{index}"]
        self.coming = {f"w{index}": [dice.choice(SIZES), None] for index in range(dice.randint(5, max(6, len(self.pods) // 3)))}

    def plan(self, scope):
        objects = [NODE_CLASS, node_pool()]
        for name, kind in self.nodes.items():
            objects += node(name, kind, self.types)
        objects += [pod(name, size, on) for name, (size, on) in self.pods.items()]
        command = [self.program, "plan", "-f", "-", "--scope", scope, "--time-limit", self.limit, "-o", "json"]
        answer = subprocess.run(command, input=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
        return json.loads(answer.stdout)

    def launch(self, launch):
        self.nodes[launch["name"]] = launch["instance_type"] if "instance_type" in launch else launch["instance_types"][0]
        self.launched.add(launch["name"])

    def carry_out(self, consolidation):
        for command in consolidation["commands"]:
            for launch in command["launches"]:
                self.launch(launch)
            for move in command["moves"]:
                self.pods[move["pod"].split("/")[1]][1] = move["to"]
            for removed in command["removed"]:
                self.nodes.pop(removed["node"], None)

    def look_twice(self):
        for _ in range(2):
            self.carry_out(self.plan("consolidate")["consolidation"])
        self.launched.clear()
        self.pods |= self.coming
        first = self.plan("all")
        for launch in first["launch"]["launches"]:
            self.launch(launch)
        for place in first["launch"]["launches"] + first["launch"]["existing_nodes"]:
            for name in place["pods"]:
                self.pods[name.split("/")[1]][1] = place["name"]
        self.carry_out(first["consolidation"])
        second = self.plan("consolidate")["consolidation"]
        moved = [move["pod"].split("/")[1] for command in second["commands"] for move in command["moves"]]
        gone = [removed["node"] for command in second["commands"] for removed in command["removed"]]
        costs = (second["before_usd_hour"], second["after_usd_hour"])
        return costs, (len(moved), len(self.coming.keys() & set(moved))), (len(self.launched), len(self.launched & set(gone)))


def main():
    program, clusters, limit = sys.argv[1], int(sys.argv[2]), (sys.argv[3:] or ["2s"])[0]
    listed = subprocess.run([program, "types", "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    types = {kind["name"]: kind for kind in json.loads(listed)}
    savings = []
    for seed in range(clusters):
        cluster = Cluster(program, limit, types, seed)
        (before, after), moved, launched = cluster.look_twice()
        savings.append((before - after) / before)
        print(seed, len(cluster.pods), len(cluster.coming), f"{before:.3f} {after:.3f}", *moved, *launched, flush=True)
    print(f"saved by the second look: median {statistics.median(savings):.1%}, mean {statistics.mean(savings):.1%}, most {max(savings):.1%}")


main()
