#!/bin/sh
# Debian's WordPress with a MariaDB of its own, until its standard input ends: serve.sh PORT NAME PASSWORD
set -eu
port=$1 name=$2 password=$3
cd "$(dirname "$0")"
export PATH="$PATH:/usr/sbin"

user=$(id -un)
home=$(mktemp -d)
export DATABASE_SOCKET="$home/socket" TMPDIR="$home"

leave() {
	kill $running || true
	wait
	rm -rf "$home"
}
running=
trap leave EXIT

cp -rL /usr/share/wordpress "$home/site"
cp wp-config.php install.php "$home/site"
mkdir -p "$home/site/wp-content/mu-plugins"
cp mint.php whoami.php "$home/site/wp-content/mu-plugins"
{
	mariadb-install-db --no-defaults --user="$user" --datadir="$home/data" --auth-root-authentication-method=normal
	mariadbd --no-defaults --user="$user" --datadir="$home/data" --socket="$DATABASE_SOCKET" --skip-networking &
	running=$!
	until mariadb-admin --no-defaults --socket="$DATABASE_SOCKET" --user=root ping; do
		kill -0 "$running"
		sleep 0.2
	done
	mariadb --no-defaults --socket="$DATABASE_SOCKET" --user=root -e \
		"CREATE DATABASE wordpress; CREATE USER wordpress@localhost; GRANT ALL ON wordpress.* TO wordpress@localhost"
	php "$home/site/install.php" "$name" "$password"
} >&2
php -S "127.0.0.1:$port" -t "$home/site" >&2 &
running="$running $!"
until curl -sf -o "$home/page" "http://127.0.0.1:$port/wp-login.php"; do
	kill -0 $!
	sleep 0.2
done
echo ready
cat >"$home/rest"
