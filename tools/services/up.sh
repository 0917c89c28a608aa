#!/usr/bin/env bash
# Starts the services that TinySphere can stand on, as ordinary processes on free loopback ports:
#   up.sh DIR [postgres|minio|versity|mlflow ...]      all four when none is named
# mlflow brings postgres and minio along, on which it keeps its rows and files. DIR holds their data, their
# logs and DIR/env, the variables by which tests find them (`. DIR/env`); a second start finds the data again.
# down.sh DIR ends exactly what this started. If anything fails, what had started is ended again.
# The programs must be there already: tools/setup/services.sh installs them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
setup=$here/../setup

case "${1:-}" in
  "" | -*) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
wanted=" ${*:-postgres minio versity mlflow} "
for name in $wanted; do
  case $name in
    postgres | minio | versity | mlflow) ;;
    *) echo "services: there is no service $name (postgres, minio, versity, mlflow)" >&2; exit 2 ;;
  esac
done
case $wanted in *" mlflow "*) wanted=" postgres minio $wanted" ;; esac
wants() { case $wanted in *" $1 "*) true ;; *) false ;; esac; }

. "$here/processes.sh"
if any_alive "$dir/pids"; then
  echo "services: those of $dir are running already; tools/services/down.sh $dir ends them" >&2
  exit 2
fi
log=$dir/log
mkdir -p "$log" "$dir/run"
: >"$dir/pids"
started=$SECONDS
trap 'status=$?; [ $status = 0 ] || { "$here/down.sh" "$dir" >/dev/null 2>&1 || true; }' EXIT
trap 'exit 130' INT TERM

failed() {  # failed WHAT LOG
  tail -n 20 "$2" >&2 2>/dev/null || true
  echo "services: $1 (whole log: $2)" >&2
  exit 1
}
say() { printf 'services: %s (%d s)\n' "$1" $((SECONDS - started)); }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# once FILE COMMAND...: what COMMAND said the first time; a secret, so only its owner reads it.
once() {
  local file=$dir/$1
  shift
  [ -s "$file" ] || (umask 077 && "$@" >"$file")
  cat "$file"
}
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
ready() {  # ready NAME URL SECONDS: waits until it answers or has ended.
  local end=$((SECONDS + $3))
  until curl -fsS -m 2 -o /dev/null "$2" 2>/dev/null; do
    is_alive "$dir/pids" "$1" || failed "$1 ended early" "$log/$1"
    [ $SECONDS -lt $end ] || failed "$1 is not ready after $3 s" "$log/$1"
    sleep 0.1
  done
  say "$1 is ready"
}
# start NAME: runs DIR/run/NAME in a process group of its own.
start() {
  chmod 700 "$dir/run/$1"
  setsid "$dir/run/$1" >>"$log/$1" 2>&1 </dev/null &
  remember "$dir/pids" "$1" $!
}
# script NAME: DIR/run/NAME out of standard input; a test that kills a service starts it by this again.
script() { (umask 077 && { printf '#!/usr/bin/env bash\n'; cat; } >"$dir/run/$1"); }

env=$dir/env
(umask 077 && : >"$env.new")
export_line() { printf "export %s='%s'\n" "$1" "$2" >>"$env.new"; }

if wants postgres; then
  bin=$("$setup/postgres.sh" --installed)
  password=$(once postgres.password random 16)
  port=$(free_port)
  # It refuses root; then its package's own account runs it, in a folder that this account can reach.
  as=() data=$dir/postgres
  if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid=postgres --regid=postgres --init-groups --)
    if ! "${as[@]}" test -x "$dir"; then
      data=$(once postgres.folder mktemp -d "${TMPDIR:-/tmp}/tinymlops-postgres.XXXXXX")
    fi
  fi
  mkdir -p "$data"
  if [ ! -f "$data/data/PG_VERSION" ]; then
    chmod 700 "$data"
    printf '%s' "$password" >"$data/password"
    [ ${#as[@]} = 0 ] || chown -R postgres "$data"
    (cd / && "${as[@]}" "$bin/initdb" -D "$data/data" -U tinysphere --auth=scram-sha-256 \
      --pwfile="$data/password" --encoding=UTF8 --locale=C.UTF-8) >"$log/initdb" 2>&1 ||
      failed "PostgreSQL's data could not be made in $data" "$log/initdb"
    rm -f "$data/password"
  fi
  printf -v command '%q ' "${as[@]}" "$bin/postgres" -D "$data/data" -p "$port" -c listen_addresses=127.0.0.1 \
    -c "unix_socket_directories=" -c max_connections=200
  script postgres <<<"cd / && exec $command"
  start postgres
  export PGPASSWORD=$password PGCONNECT_TIMEOUT=2
  sql() { (cd / && "$bin/psql" -X -q -h 127.0.0.1 -p "$port" -U tinysphere -d postgres -Atc "$1"); }
  end=$((SECONDS + 60))
  until sql 'select 1' >/dev/null 2>&1; do
    is_alive "$dir/pids" postgres || failed "PostgreSQL ended early" "$log/postgres"
    [ $SECONDS -lt $end ] || failed "PostgreSQL is not ready after 60 s" "$log/postgres"
    sleep 0.1
  done
  for name in mlflow tinysphere; do
    [ "$(sql "select 1 from pg_database where datname = '$name'")" = 1 ] || sql "create database $name"
  done
  say "postgres is ready"
  postgres_at=tinysphere:$password@127.0.0.1:$port
  export_line TINYSPHERE_TEST_POSTGRES "postgresql://$postgres_at/tinysphere"
fi

if wants minio; then
  bin=$("$setup/minio.sh" --installed)
  access=$(once minio.access random 8) secret=$(once minio.secret random 20)
  port=$(free_port)
  mkdir -p "$dir/minio"
  script minio <<RUN
export MINIO_ROOT_USER=$access MINIO_ROOT_PASSWORD=$secret MINIO_BROWSER=off MINIO_UPDATE=off
exec '$bin/minio' server '$dir/minio' --address 127.0.0.1:$port --quiet
RUN
  start minio
  ready minio "http://127.0.0.1:$port/minio/health/ready" 30
  minio_at=http://127.0.0.1:$port minio_access=$access minio_secret=$secret
  export_line TINYSPHERE_TEST_S3_ENDPOINT "$minio_at"
  export_line TINYSPHERE_TEST_S3_REGION us-east-1
  export_line TINYSPHERE_TEST_S3_ACCESS_KEY "$access"
  export_line TINYSPHERE_TEST_S3_SECRET_KEY "$secret"
fi

if wants versity; then
  bin=$("$setup/versity.sh" --installed)
  access=$(once versity.access random 8) secret=$(once versity.secret random 20)
  port=$(free_port)
  mkdir -p "$dir/versity"
  # What it knows of an object lies in extended attributes, or beside where the disk has none.
  sidecar=
  if ! python3 -c 'import os, sys; os.setxattr(sys.argv[1], "user.tinymlops", b"1")' "$dir/versity" 2>/dev/null; then
    mkdir -p "$dir/versity-sidecar"
    sidecar="--sidecar '$dir/versity-sidecar'"
  fi
  script versity <<RUN
export ROOT_ACCESS_KEY=$access ROOT_SECRET_KEY=$secret
exec '$bin/versitygw' --port 127.0.0.1:$port --region us-east-1 --health /health --quiet posix $sidecar '$dir/versity'
RUN
  start versity
  ready versity "http://127.0.0.1:$port/health" 30
  export_line TINYSPHERE_TEST_VERSITY_ENDPOINT "http://127.0.0.1:$port"
  export_line TINYSPHERE_TEST_VERSITY_ACCESS_KEY "$access"
  export_line TINYSPHERE_TEST_VERSITY_SECRET_KEY "$secret"
fi

if wants mlflow; then
  bin=$("$setup/mlflow.sh" --installed)
  port=$(free_port)
  mkdir -p "$dir/mlflow"
  # curl signs well enough to make a bucket (an empty body has this digest).
  empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
  code=$(curl -sS -o "$log/bucket" -w '%{http_code}' -X PUT --aws-sigv4 aws:amz:us-east-1:s3 \
    -u "$minio_access:$minio_secret" -H "x-amz-content-sha256: $empty" "$minio_at/mlflow") || true
  case $code in 200 | 409) ;; *) failed "MinIO answers $code to a new bucket" "$log/bucket" ;; esac
  # One worker: with more, every answer on a kept connection takes 40 ms longer. Without the runner of jobs,
  # which would be eight more processes.
  script mlflow <<RUN
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
export MLFLOW_S3_ENDPOINT_URL=$minio_at AWS_ACCESS_KEY_ID=$minio_access AWS_SECRET_ACCESS_KEY=$minio_secret
export AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset PYTHONDONTWRITEBYTECODE
cd '$dir/mlflow' && exec '$bin/mlflow' server --host 127.0.0.1 --port $port --workers 1 \\
  --backend-store-uri 'postgresql+psycopg2://${postgres_at}/mlflow' \\
  --serve-artifacts --artifacts-destination s3://mlflow/ --allowed-hosts 127.0.0.1:$port,localhost:$port
RUN
  start mlflow
  ready mlflow "http://127.0.0.1:$port/health" 300  # 7 to 30 s; minutes where the processors are taken.
  export_line TINYSPHERE_TEST_MLFLOW "http://127.0.0.1:$port"
fi

export_line TINYSPHERE_TEST_SERVICES "$dir"
mv "$env.new" "$env"
say "variables: $env"
