#!/usr/bin/env bash
# A real Kubernetes API server on loopback, for tests. See README.md.
#   live-cluster.sh build BINDIR
#   live-cluster.sh start BINDIR STATEDIR        prints the kubeconfig path
#   live-cluster.sh stop  STATEDIR
# Environment: SERVICE_CIDRS (default 10.96.0.0/12,fd00:10:96::/112), BROKER (host:port that "port-forward ... 9090" reaches,
#   default 127.0.0.1:9090), BROKER_NAMESPACE (default kguardian), PORT_BASE (four ports from here; default: random free ones),
#   EXTRA_TOKENS (more users, one "token,name,uid" or "token,name,uid,"group,group"" a line; each gets a context of its name)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KVER=$(awk '$2=="k8s.io/kubernetes"{print $3} $1=="k8s.io/kubernetes"{print $2}' "$here/mods/kube/go.mod" | head -1)

build() {
  local bin; mkdir -p "$1"; bin=$(cd "$1" && pwd)
  local minor=${KVER#v1.}; minor=${minor%%.*}
  local ver="-X k8s.io/component-base/version.gitVersion=$KVER -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor"
  gob() { # name module package ldflags
    [ -x "$bin/$1" ] && return 0
    (cd "$here/mods/$2" && CGO_ENABLED=0 go build -trimpath -ldflags="-s -w ${4:-}" -o "$bin/$1.tmp" "$3") && mv "$bin/$1.tmp" "$bin/$1"
  }
  gob etcd etcd go.etcd.io/etcd/server/v3
  gob kwok kwok sigs.k8s.io/kwok/cmd/kwok
  gob kubectl kube k8s.io/kubernetes/cmd/kubectl "$ver"
  gob kube-apiserver kube k8s.io/kubernetes/cmd/kube-apiserver "$ver"
}

free_base() {
  local b i p
  for i in $(seq 50); do
    b=$((20000 + RANDOM % 20000)); for p in 0 1 2 3; do (exec 3<>"/dev/tcp/127.0.0.1/$((b + p))") 2>/dev/null && continue 2; done
    echo "$b"; return
  done; return 1
}

start() {
  local bin s b; bin=$(cd "$1" && pwd); mkdir -p "$2"; s=$(cd "$2" && pwd); chmod 700 "$s"
  b=${PORT_BASE:-$(free_base)}; local etcd=$b peer=$((b + 1)) api=$((b + 2)) kubelet=$((b + 3))
  local broker=${BROKER:-127.0.0.1:9090} token; token=$(openssl rand -hex 16)
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$s/ca.key" -out "$s/ca.crt" -days 30 -subj /CN=live-cluster-ca 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -keyout "$s/tls.key" -out "$s/tls.csr" -subj /CN=live-cluster 2>/dev/null
  openssl x509 -req -in "$s/tls.csr" -CA "$s/ca.crt" -CAkey "$s/ca.key" -CAcreateserial -days 30 -out "$s/tls.crt" -extfile <(echo 'subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc') 2>/dev/null
  openssl genrsa -out "$s/sa.key" 2048 2>/dev/null
  echo "$token,admin,admin,\"system:masters\"" > "$s/tokens.csv"
  local t name uid users="{name: admin, user: {token: $token}}" contexts="{name: live, context: {cluster: live, user: admin, namespace: default}}"
  while IFS=, read -r t name uid; do
    [ -n "$t" ] || continue
    echo "$t,$name,$uid" >> "$s/tokens.csv"
    users+=", {name: \"$name\", user: {token: \"$t\"}}"
    contexts+=", {name: \"$name\", context: {cluster: live, user: \"$name\", namespace: default}}"
  done <<< "${EXTRA_TOKENS:-}"
  cat > "$s/kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: live, cluster: {server: "https://127.0.0.1:$api", certificate-authority-data: $(base64 -w0 "$s/ca.crt")}}]
users: [$users]
contexts: [$contexts]
current-context: live
K
  chmod 600 "$s/kubeconfig" "$s/tokens.csv"
  cat > "$s/kwok.yaml" <<K
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterPortForward
metadata: {name: broker}
spec:
  selector: {matchNamespaces: [${BROKER_NAMESPACE:-kguardian}]}
  forwards: [{ports: [9090], target: {address: "${broker%:*}", port: ${broker##*:}}}]
---
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions: [{key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: NotIn, values: ["True"]}]
  next:
    statusTemplate: |
      {{ \$now := Now }}
      conditions: [{lastHeartbeatTime: {{ \$now | Quote }}, lastTransitionTime: {{ \$now | Quote }}, message: ready, reason: KubeletReady, status: "True", type: Ready}]
      daemonEndpoints: {kubeletEndpoint: {Port: {{ NodePort }} }}
K
  cd "$s"
  setsid "$bin/etcd" --data-dir etcd --listen-client-urls "http://127.0.0.1:$etcd" --advertise-client-urls "http://127.0.0.1:$etcd" --listen-peer-urls "http://127.0.0.1:$peer" \
    --initial-advertise-peer-urls "http://127.0.0.1:$peer" --initial-cluster "default=http://127.0.0.1:$peer" --unsafe-no-fsync > etcd.log 2>&1 < /dev/null & echo $! > etcd.pid
  setsid "$bin/kube-apiserver" --etcd-servers="http://127.0.0.1:$etcd" --bind-address=127.0.0.1 --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --secure-port="$api" \
    --tls-cert-file=tls.crt --tls-private-key-file=tls.key --service-account-key-file=sa.key --service-account-signing-key-file=sa.key --service-account-issuer=https://kubernetes.default.svc \
    --token-auth-file=tokens.csv --authorization-mode=RBAC --service-cluster-ip-range="${SERVICE_CIDRS:-10.96.0.0/12,fd00:10:96::/112}" --disable-admission-plugins=ServiceAccount \
    --kubelet-preferred-address-types=ExternalIP --kubelet-certificate-authority=ca.crt --allow-privileged \
    --storage-media-type=application/json > apiserver.log 2>&1 < /dev/null & echo $! > apiserver.pid
  echo "http://127.0.0.1:$etcd" > etcd.url # load-world.mjs puts back there what the API server sets; hence JSON as storage
  local i
  for i in $(seq 300); do
    curl -sf -m 2 --cacert ca.crt -H "Authorization: Bearer $token" "https://127.0.0.1:$api/readyz" > /dev/null && break
    kill -0 "$(cat apiserver.pid)" 2>/dev/null || { tail -5 apiserver.log >&2; stop "$s"; return 1; }
    [ "$i" = 300 ] && { echo "API server not ready" >&2; stop "$s"; return 1; }
    sleep .1
  done
  setsid "$bin/kwok" --kubeconfig kubeconfig --config kwok.yaml --manage-all-nodes=true --node-ip 127.0.0.1 --node-port "$kubelet" --server-address "127.0.0.1:$kubelet" \
    --tls-cert-file tls.crt --tls-private-key-file tls.key > kwok.log 2>&1 < /dev/null & echo $! > kwok.pid
  echo "$kubelet" > kubelet.port
  for i in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$kubelet") 2>/dev/null && break; sleep .1; done
  echo "$s/kubeconfig"
}

stop() { # API server first: with its etcd gone it hangs on SIGTERM
  local s n p i; s=$(cd "$1" && pwd)
  for n in kwok apiserver etcd; do
    [ -f "$s/$n.pid" ] || continue; p=$(cat "$s/$n.pid"); kill "$p" 2>/dev/null || true
    for i in $(seq 50); do kill -0 "$p" 2>/dev/null || break; sleep .1; done; kill -9 "$p" 2>/dev/null || true; rm -f "$s/$n.pid"
  done
}
cmd=${1:-}; shift || true
case $cmd in build|start|stop) "$cmd" "$@";; *) sed -n 2,8p "$0"; exit 2;; esac
