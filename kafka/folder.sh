# shellcheck shell=bash
# A cluster's folder: its ports, certificates and settings. Part of scripts/kafka.

# `load` fills these from a folder that was written before.
folder='' cluster_id='' nodes=1 port_base=0 secured=no proxied=0

# Ids as Kafka writes them; it does not like those that look like an option.
new_id() {
    local id=-
    while [[ $id == -* ]]; do
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
    done
    echo "$id"
}

load() {
    folder=$(cd "$1" 2>/dev/null && pwd) || fail "there is no folder $1"
    [[ -f $folder/cluster ]] || fail "no cluster was started in $1"
    # shellcheck source=/dev/null
    source "$folder/cluster"
}

node_numbers() {
    seq 1 "$nodes"
}

require_node() {
    if ! [[ ${1:-} =~ ^[1-9]$ ]] || (($1 > nodes)); then
        fail "there is no node \"${1:-}\"; there are $nodes"
    fi
}

# Each kind of listener has a row of ports, one a node.
port() {
    local kind=$1 node=$2 row
    case $kind in
        PLAINTEXT) row=0 ;;
        CONTROLLER) row=1 ;;
        SASL_SSL) row=2 ;;
        SSL) row=3 ;;
        PROXIED) row=4 ;;
    esac
    echo $((port_base + row * nodes + node - 1))
}

kinds() {
    echo PLAINTEXT
    echo CONTROLLER
    [[ $secured == no ]] || printf '%s\n' SASL_SSL SSL
    [[ $proxied == 0 ]] || echo PROXIED
}

# The addresses of one kind of listener, as a client wants them.
addresses() {
    local kind=$1 node list=
    for node in $(node_numbers); do
        list+=${list:+,}127.0.0.1:$(port "$kind" "$node")
    done
    echo "$list"
}

answers() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

taken_port() {
    local kind node number
    for kind in $(kinds); do
        for node in $(node_numbers); do
            number=$(port "$kind" "$node")
            if answers "$number"; then
                echo "$number"
                return
            fi
        done
    done
}

# Below the range from which the system takes ports for clients.
pick_ports() {
    local _
    for _ in {1..50}; do
        port_base=$((10000 + RANDOM % 1500 * 15))
        [[ -n $(taken_port) ]] || return 0
    done
    fail "there are no free ports"
}

write_listeners() {
    local node=$1 kind listen='' advertise='' protocols='' number
    for kind in $(kinds); do
        number=$(port "$kind" "$node")
        listen+=${listen:+,}$kind://127.0.0.1:$number
        case $kind in
            PLAINTEXT | SASL_SSL | SSL) protocols+=$kind:$kind, ;;
            *) protocols+=$kind:PLAINTEXT, ;;
        esac
        [[ $kind != PROXIED ]] || number=$((proxied + node - 1))
        [[ $kind == CONTROLLER ]] || advertise+=${advertise:+,}$kind://127.0.0.1:$number
    done
    cat <<TEXT
listeners=$listen
advertised.listeners=$advertise
listener.security.protocol.map=${protocols%,}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers=$(addresses CONTROLLER)
TEXT
}

write_sizes() {
    local copies=$nodes in_sync=$(((nodes + 1) / 2))
    cat <<TEXT
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
share.coordinator.state.topic.num.partitions=3

# Nobody waits for members or transactions that are gone.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=6000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.heartbeat.interval.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500

# Few threads and small buffers: it shares a small machine with what it is tested with.
num.network.threads=2
num.io.threads=4
background.threads=4
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=33554432
TEXT
}

write_security() {
    local listener=listener.name.sasl_ssl password module=org.apache.kafka.common.security
    password=$(<"$folder/password")
    cat <<TEXT
# Whoever comes without TLS may do everything: rights can be taken from the others in tests.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
ssl.keystore.type=PEM
ssl.keystore.location=$folder/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$folder/ca.pem
listener.name.ssl.ssl.client.auth=required
$listener.sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
$listener.scram-sha-512.sasl.jaas.config=$module.scram.ScramLoginModule required;
$listener.scram-sha-256.sasl.jaas.config=$module.scram.ScramLoginModule required;
$listener.plain.sasl.jaas.config=$module.plain.PlainLoginModule required user_offkey="$password";
TEXT
}

write_properties() (
    local node=$1 place="$folder/node$1"
    umask 077 # there can be a password in it
    mkdir -p "$place"
    {
        echo "process.roles=broker,controller"
        echo "node.id=$node"
        echo "log.dirs=$place/data"
        write_listeners "$node"
        write_sizes
        [[ $secured == no ]] || write_security
    } >"$place/server.properties"
)

# A certificate that our throw-away authority signs: NAME, subject, further lines for openssl.
write_certificate() {
    local name=$1 subject=$2 extensions=$3
    openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/$name.key"
    openssl req -new -key "$folder/$name.key" -subj "$subject" -out "$folder/$name.csr"
    openssl x509 -req -in "$folder/$name.csr" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -days 365 \
        -extfile <(printf '%s\n' "$extensions") -out "$folder/$name.pem" 2>/dev/null
    rm "$folder/$name.csr"
}

write_secrets() (
    need_tool openssl openssl
    umask 077
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$folder/ca.key"
    openssl req -x509 -key "$folder/ca.key" -days 365 -subj "/CN=Offkey test authority" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$folder/ca.pem"
    write_certificate server /CN=localhost $'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth'
    write_certificate client /CN=offkey extendedKeyUsage=clientAuth
    cat "$folder/server.key" >>"$folder/server.pem"
    rm "$folder/server.key" "$folder/ca.key"
    echo offkey >"$folder/user"
    head -c 18 /dev/urandom | base64 | tr '+/' 'ab' >"$folder/password"
)

format_node() {
    local node=$1 who=$2 out="$folder/node$1/format.out"
    local arguments=(-t "$cluster_id" -c "$folder/node$node/server.properties")
    if [[ $secured == yes ]]; then
        local mechanism
        for mechanism in SCRAM-SHA-512 SCRAM-SHA-256; do
            arguments+=(--add-scram "$mechanism=[name=offkey,password=$(<"$folder/password")]")
        done
    fi
    # shellcheck disable=SC2086 # who is one or two words
    run_java kafka.tools.StorageTool format $who "${arguments[@]}" >"$out" 2>&1 \
        || { cat "$out" >&2; return 1; }
}

format_all() {
    local node who=--standalone voters='' jobs=()
    if ((nodes > 1)); then
        for node in $(node_numbers); do
            voters+=${voters:+,}$node@127.0.0.1:$(port CONTROLLER "$node"):$(new_id)
        done
        who="--initial-controllers $voters"
    fi
    for node in $(node_numbers); do
        write_properties "$node"
        format_node "$node" "$who" &
        jobs+=($!)
    done
    local job
    for job in "${jobs[@]}"; do
        wait "$job" || fail "node cannot be formatted"
    done
}

create() {
    rm -rf "$folder"/node[0-9]
    cluster_id=$(new_id)
    if [[ $secured == yes ]]; then
        write_secrets
        addresses SASL_SSL >"$folder/sasl.bootstrap"
        addresses SSL >"$folder/ssl.bootstrap"
    fi
    if [[ $proxied != 0 ]]; then
        addresses PROXIED >"$folder/proxied.backend"
        local node list=
        for node in $(node_numbers); do
            list+=${list:+,}127.0.0.1:$((proxied + node - 1))
        done
        echo "$list" >"$folder/proxied.bootstrap"
    fi
    format_all
    addresses PLAINTEXT >"$folder/bootstrap"
    # Last, so that a folder with it is whole.
    printf '%s=%s\n' cluster_id "$cluster_id" nodes "$nodes" port_base "$port_base" \
        secured "$secured" proxied "$proxied" >"$folder/cluster"
}
