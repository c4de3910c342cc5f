#!/bin/sh
# CPU that a request costs on its way through the binary: two builds in turn, in front of nginx, asked by wrk.
#
#   sh benches/through.sh OLD NEW [ROUNDS]
#
# Needs nginx, wrk and openssl (Debian: nginx-light, wrk, openssl). Prints user and system time of the proxy's
# process by request, the ratio of each round, and what stays resident. Everything is on loopback and in a
# folder of its own, and ends with the script.
set -eu

old=$1 new=$2 rounds=${3:-6}
home=$(mktemp -d)
pids=
stop() {
	for pid in $pids; do kill "$pid" 2>/dev/null || true; done
	wait
	rm -rf "$home"
}
trap stop EXIT INT TERM

b64() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
umask 077
openssl rand -hex 32 | tr -d '\n' >"$home/jwt.secret"
now=$(date +%s)
head=$(printf '{"alg":"HS256","typ":"JWT"}' | b64)
claims=$(printf '{"sub":"42","jti":"one","iat":%d,"exp":%d}' "$now" $((now + 36000)) | b64)
sign=$(printf '%s.%s' "$head" "$claims" | openssl dgst -sha256 -hmac "$(cat "$home/jwt.secret")" -binary | b64)
token=$head.$claims.$sign

cat >"$home/nginx.conf" <<NGINX
worker_processes 1; daemon off; pid $home/nginx.pid; error_log $home/nginx.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 10000000;
       server { listen 127.0.0.1:18000 backlog=4096; location / { return 200 "hello"; } } }
NGINX
nginx -c "$home/nginx.conf" 2>/dev/null &
pids=$!

# serve NAME BINARY PORT: leaves its id in $home/NAME.pid
serve() {
	mkdir "$home/$1"
	cat >"$home/$1.toml" <<TOML
listen = ["127.0.0.1:$3"]
data_dir = "$home/$1"
[[shop]]
name = "main"
preset = "bagisto"
upstream = ["127.0.0.1:18000"]
token.algorithms = ["HS256"]
token.secret_file = "jwt.secret"
TOML
	"$2" init --config "$home/$1.toml" >"$home/$1.init" 2>&1 || true # an old build has no such command
	"$2" run --config "$home/$1.toml" 2>"$home/$1.log" &
	echo $! >"$home/$1.pid"
	pids="$pids $!"
	until grep -q ready "$home/$1.log"; do sleep 0.1; done
}
serve old "$old" 18081
serve new "$new" 18082

ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$home/$1.pid")/stat"; }

# cost NAME PORT: microseconds of CPU a request, at 100 ticks a second
cost() {
	before=$(ticks "$1")
	wrk -t1 -c32 -d3s -H "Authorization: Bearer $token" "http://127.0.0.1:$2/" >"$home/wrk"
	if grep -q 'Non-2xx\|Socket errors' "$home/wrk"; then
		cat "$home/wrk" >&2
		exit 1
	fi
	awk -v spent=$(($(ticks "$1") - before)) '/requests in/ { printf "%.2f", spent * 10000 / $1 }' "$home/wrk"
}

for round in $(seq "$rounds"); do
	was=$(cost old 18081)
	is=$(cost new 18082)
	awk -v round="$round" -v was="$was" -v is="$is" \
		'BEGIN { printf "round %d: old %.1f us, new %.1f us, ratio %.2f\n", round, was, is, is / was }'
done
for one in old new; do
	awk -v one=$one '/VmRSS/ { printf "%s resident: %d kB\n", one, $2 }' "/proc/$(cat "$home/$one.pid")/status"
done
