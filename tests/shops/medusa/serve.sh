#!/bin/sh
# Medusa with a PostgreSQL of its own, until its standard input ends: serve.sh PORT DATABASE_PORT EMAIL PASSWORD
#
# The last two are an administrator's. JWT_SECRET signs its tokens.
set -eu
port=$1 database_port=$2 email=$3 password=$4
cd "$(dirname "$0")"

# PostgreSQL refuses to run as root.
as=
[ "$(id -u)" -eq 0 ] && as="runuser -u postgres --"
bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | tail -n 1)")
home=$(mktemp -d)
[ -z "$as" ] || chown postgres "$home"

medusa=
leave() {
	[ -z "$medusa" ] || kill "$medusa" || true
	$as "$bin/pg_ctl" -D "$home/data" -m immediate stop >&2
	rm -rf "$home"
}
trap leave EXIT

{
	$as "$bin/initdb" -D "$home/data" -A trust -U postgres
	$as "$bin/pg_ctl" -D "$home/data" -l "$home/log" -o "-p $database_port -k $home -h 127.0.0.1" -w start
	$as "$bin/createdb" -h 127.0.0.1 -p "$database_port" -U postgres medusa
	export DATABASE_URL="postgres://postgres@127.0.0.1:$database_port/medusa"
	node node_modules/.bin/medusa db:migrate
	node node_modules/.bin/medusa user -e "$email" -p "$password"
} >&2
node node_modules/.bin/medusa start --port "$port" >&2 &
medusa=$!
until curl -sf -o "$home/health" "http://127.0.0.1:$port/health"; do
	kill -0 "$medusa"
	sleep 0.2
done
echo ready
cat >"$home/rest"
