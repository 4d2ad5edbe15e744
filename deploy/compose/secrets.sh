#!/bin/sh
# Writes .env with the random passwords that docker-compose.yml asks for. One
# that is there stays: the database's passwords are in it. What a newer release
# asks for besides is added.
set -eu
cd "$(dirname "$0")/../.."
umask 077
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
touch .env
cp .env .env.new
for name in POSTGRES TEMPORAL OWNER APP DISPATCH OFFBOARD; do
	grep -q "^${name}_PASSWORD=" .env.new || echo "${name}_PASSWORD=$(secret)" >>.env.new
done
mv .env.new .env
echo ".env has all passwords"
