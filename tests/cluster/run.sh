#!/usr/bin/env bash
# A Kubernetes control plane on loopback, without containers and root: etcd, kube-apiserver, kube-scheduler,
# kube-controller-manager, and kwok, which plays the kubelet of each node annotated kwok.x-k8s.io/node=fake.
#
# Prints a folder once the cluster is ready: it has a kubeconfig with every right, kubectl and helm in bin/, and what the
# programs say in logs/. The programs end, and the folder goes, with the first of these: INT, TERM or HUP; the end of the standard input, where
# that is a pipe, and so with whoever holds its other end, however that ends; the end of any of the programs.
#
#   KUBERNETES=1.37    which Kubernetes: a folder programs/kubernetes-*
set -euo pipefail
umask 077
here=$(cd "$(dirname "$0")" && pwd)
exec 3<&0 # programs in the background get none of their own
path=$("$here/build.sh")
PATH="$path:$PATH"

folder=$(mktemp -d "${TMPDIR:-/tmp}/packwright-cluster.XXXXXX")
logs=$folder/logs
certs=$folder/certs
mkdir "$logs" "$certs" "$folder/bin"
ln -s "$(command -v kubectl)" "$(command -v helm)" "$folder/bin"
cd "$folder"

say() { echo "cluster: $*" >&2; }

# ---- starting and ending programs

declare -A pids=()
watch= # the process that waits for the end of the standard input

start() { # start PROGRAM FLAG...
    # the kernel ends it with this shell, however that ends
    setpriv --pdeathsig KILL -- "$@" </dev/null >"$logs/$1.log" 2>&1 &
    pids[$1]=$!
}

end() {
    trap '' INT TERM HUP
    { # nothing here outlives the cluster, so that nothing needs a chance to tidy up
        kill -KILL "${pids[@]}" ${watch:+"$watch"}
        wait
    } 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT
trap 'exit 0' INT TERM HUP

# Whether every program runs; says which does not, and why.
all_run() {
    local name
    for name in "${!pids[@]}"; do
        if ! kill -0 "${pids[$name]}" 2>/dev/null; then
            say "$name has ended:"
            tail -n 20 "$logs/$name.log" >&2
            return 1
        fi
    done
}

readonly TRIES=600 # of a tenth of a second: a minute, where an idle machine takes seconds
await() {          # await COMMAND...
    local tries
    for ((tries = 0; tries < TRIES; tries++)); do
        if "$@"; then return; fi
        all_run || exit 1
        sleep 0.1
    done
    say "gave up waiting for: $*"
    tail -n 20 "$logs"/*.log >&2
    exit 1
}

# Outside the range from which the kernel takes the ports of clients, so that none takes it before the server does.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

# ---- who may do what

port=$(free_port)
server=https://127.0.0.1:$port

admit() { # admit USER GROUP: writes a token of the server and a kubeconfig that bears it
    local token
    token=$(od -A n -t x1 -N 16 /dev/urandom | tr -d ' \n')
    echo "$token,$1,$1,\"$2\"" >>tokens.csv
    cat >"$1.kubeconfig" <<EOF
apiVersion: v1
kind: Config
clusters:
  - {name: test, cluster: {server: "$server", certificate-authority: "$certs/ca.crt"}}
users:
  - {name: "$1", user: {token: $token}}
contexts:
  - {name: test, context: {cluster: test, user: "$1"}}
current-context: test
EOF
}
admit admin system:masters
admit system:kube-scheduler system:authenticated
mv admin.kubeconfig kubeconfig

# ---- the programs

# Sockets in this folder instead of ports, so that nobody else takes them; etcd wants their names to look like ports.
start etcd --data-dir=etcd --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=unix://client:1 --advertise-client-urls=unix://client:1 \
    --listen-peer-urls=unix://peer:1 --initial-advertise-peer-urls=unix://peer:1 --initial-cluster=default=unix://peer:1

# What service accounts ask for, which programs under test are.
cat >audit.yaml <<EOF
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
EOF

# The server makes its certificate itself, and signs the tokens of service accounts with the same key.
start kube-apiserver --etcd-servers=unix://client:1 \
    --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --secure-port="$port" --endpoint-reconciler-type=none \
    --cert-dir="$certs" --token-auth-file=tokens.csv --authorization-mode=Node,RBAC \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$certs/apiserver.crt" \
    --service-account-signing-key-file="$certs/apiserver.key" --service-cluster-ip-range=10.96.0.0/16 \
    --audit-policy-file=audit.yaml --audit-log-path="$logs/audit.log" \
    --max-requests-inflight=2000 --max-mutating-requests-inflight=1000 # the defaults throttle tests
await curl --silent --fail --output /dev/null --cacert "$certs/apiserver.crt" "$server/readyz"
sed '1,/END CERTIFICATE/d' "$certs/apiserver.crt" >"$certs/ca.crt" # it follows the server's own

unthrottled=(--kube-api-qps=1000 --kube-api-burst=2000)
start kube-controller-manager --kubeconfig=kubeconfig --leader-elect=false --secure-port=0 "${unthrottled[@]}" \
    --concurrent-replicaset-syncs=20 --pvclaimbinder-sync-period=200ms --root-ca-file="$certs/ca.crt" \
    --node-monitor-grace-period=10m # kwok says less often than by default that a node is alive, and pods of one that is taken for dead stay not ready
start kube-scheduler --kubeconfig=system:kube-scheduler.kubeconfig --leader-elect=false --secure-port=0 "${unthrottled[@]}"
start kwok --kubeconfig=kubeconfig --config="$(dirname "$(command -v kwok)")/stages.yaml" \
    --manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake

# without its service account a namespace takes no pods
kubectl --kubeconfig=kubeconfig wait --for=create --timeout=60s serviceaccount/default >/dev/null || { all_run; exit 1; }

if [ -p /dev/stdin ]; then
    cat <&3 >/dev/null &
    watch=$!
else
    say "it runs until Ctrl-C or \`kill $$\`; to use it:"
    say "export KUBECONFIG=$folder/kubeconfig PATH=$folder/bin:\$PATH"
fi
echo "$folder"
wait -n
all_run
