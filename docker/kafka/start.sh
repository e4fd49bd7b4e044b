#!/bin/sh
# Format the storage at the first start, then run the broker. The stock entry point cannot give
# the first user its SCRAM credentials, and without them nobody could log in to make the others.
set -eu

data=/var/lib/kafka/data
if [ ! -f "$data/meta.properties" ]; then
    # an argument file: on the command line every process of the host could read the password
    java @/run/secrets/format.args >/dev/null
fi
exec /opt/kafka/bin/kafka-server-start.sh /run/secrets/server.properties
