# shellcheck shell=bash
# The processes of a cluster. Part of scripts/kafka.

readonly patience=120 # seconds until a cluster has to answer

# Whether a process runs; one that has ended and was not fetched by its parent does not.
runs() {
    local state
    state=$(ps -o stat= -p "$1" 2>/dev/null) && [[ $state != Z* ]]
}

# The process of a node, and nothing when it does not run. Numbers are used again by the system, so
# the command line has to be ours.
process_of() {
    local file="$folder/node$1/pid" pid command
    [[ -f $file ]] || return 0
    pid=$(<"$file")
    command=$(ps -ww -o args= -p "$pid" 2>/dev/null) || return 0
    [[ $command != *"kafka.Kafka $folder/node$1/server.properties"* ]] || echo "$pid"
}

running_node() {
    local pid
    pid=$(process_of "$1")
    [[ -n $pid ]] || fail "node $1 does not run"
    echo "$pid"
}

start_node() {
    local node=$1 place="$folder/node$1" java options
    find_java
    read -r -a options <<<"${KAFKA_JAVA_OPTIONS:-$(java_options)}"
    # Nothing of ours stays open in it: whoever reads our output would wait for the node's end.
    setsid "${java[@]}" "${options[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel="${KAFKA_LOG:-warn}" \
        -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
        kafka.Kafka "$place/server.properties" >>"$place/server.out" 2>&1 </dev/null 9>&- &
    echo $! >"$place/pid"
    # Until it is Java it has another command line.
    while [[ -z $(process_of "$node") ]] && runs $!; do sleep 0.02; done
}

# What node says of the cluster, in hexadecimal: a Metadata request (version 2, no topics).
ask_metadata() {
    local size
    exec 3<>"/dev/tcp/127.0.0.1/$(port PLAINTEXT "$1")" || return 1
    printf '\0\0\0\x14\0\x03\0\x02\0\0\0\x01\0\x06offkey\0\0\0\0' >&3
    size=$(timeout 5 head -c 4 <&3 | od -An -v -tx1 | tr -d ' \n')
    [[ -n $size ]] && timeout 5 head -c $((16#$size)) <&3 | od -An -v -tx1 | tr -d ' \n'
}

in_hexadecimal() {
    printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n'
}

# Whether a node answers for our cluster and knows the others (a list of nodes) as alive.
is_ready() {
    local node=$1 said other
    shift
    said=$(ask_metadata "$node" 2>/dev/null) || return 1
    [[ $said == *$(in_hexadecimal "$cluster_id")* ]] || return 1
    for other in "$@"; do
        [[ $said == *$(in_hexadecimal 127.0.0.1)$(printf '%08x' "$(port PLAINTEXT "$other")")* ]] || return 1
    done
}

# Waits until a node is ready; 2 when another process has one of its ports.
await_node() {
    local node=$1 out="$folder/node$1/server.out" end=$((SECONDS + patience))
    until is_ready "$@"; do
        if [[ -z $(process_of "$node") ]]; then
            ! grep -q 'Address already in use' "$out" || return 2
            tail -n 30 "$out" >&2
            fail "node $node does not start; all it said is in $out"
        fi
        ((SECONDS < end)) || fail "node $node does not answer; see $out"
        sleep 0.1
    done
}

end_node() {
    local pid=$1 end=$((SECONDS + ${2:-10}))
    kill -TERM "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # a frozen one hears nothing
    while runs "$pid"; do
        ((SECONDS < end)) || kill -KILL "$pid" 2>/dev/null || true
        sleep 0.05
    done
}

stop_all() {
    local node pid jobs=()
    for node in $(node_numbers); do
        pid=$(process_of "$node")
        [[ -n $pid ]] || continue
        end_node "$pid" &
        jobs+=($!)
    done
    ((${#jobs[@]} == 0)) || wait "${jobs[@]}"
}

start_all() {
    local node result
    for node in $(node_numbers); do
        start_node "$node"
    done
    for node in $(node_numbers); do
        result=0
        # shellcheck disable=SC2046 # numbers
        await_node "$node" $(node_numbers) || result=$?
        ((result == 0)) || return "$result"
    done
}
