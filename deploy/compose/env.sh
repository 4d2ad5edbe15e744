# Sourced: what stella needs to talk to the api of docker-compose.yml. The
# token speaks for tenant demo and lasts 30 days; the trusted key is copied out
# of the volume into .data/compose-trust.
mkdir -p .data
docker compose cp -q api:/data/trust/. .data/compose-trust
export STELLA_SERVER=http://127.0.0.1:8480
export STELLA_TENANT=demo
export STELLA_TRUST="$PWD/.data/compose-trust"
STELLA_TOKEN=$(docker compose exec -T api exportcenter token --data /data --issuer exportcenter-dev:compose --tenant demo)
export STELLA_TOKEN
