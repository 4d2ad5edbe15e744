#!/bin/sh
# Writes .env with the random passwords that docker-compose.yml asks for. One
# that is there stays: the database's passwords are in it.
set -eu
cd "$(dirname "$0")/../.."
umask 077
if [ -e .env ]; then
	echo ".env is there and stays as it is" >&2
	exit 0
fi
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
for name in POSTGRES TEMPORAL OWNER APP DISPATCH; do
	echo "${name}_PASSWORD=$(secret)"
done >.env.new
mv .env.new .env
echo "wrote .env"
