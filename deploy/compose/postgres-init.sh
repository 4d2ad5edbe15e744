#!/bin/sh
# Run once by the postgres image on an empty volume: Temporal's role, which
# makes its two databases itself.
set -eu
psql -v ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
\getenv password TEMPORAL_PASSWORD
create role temporal login createdb password :'password';
SQL
