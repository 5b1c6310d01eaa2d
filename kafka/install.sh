# shellcheck shell=bash
# Brings Kafka and what it needs, and runs Java with it. Part of scripts/kafka.

readonly home="$root/target/kafka" libs="$root/target/kafka/libs" pom="$root/kafka/pom.xml"
archive=''

# Where the archive of classes is: one for each place of the libraries and each Java, since both are written into it.
# It is empty when none could be made.
find_archive() {
    local java
    java=$(stat -L -c '%Y %s' "$(command -v java)" 2>/dev/null) || true
    archive="$home/classes-$(cksum <<<"$libs $java" | cut -d ' ' -f 1).jsa"
}

java_is_new_enough() {
    local major
    major=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1) || return 1
    [[ -n $major ]] && ((major >= 17))
}

# Installs Debian packages, or says that somebody has to.
need_packages() {
    local why=$1
    shift
    if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
        fail "$why; install it (Debian: apt-get install $*)"
    fi
    echo "kafka: $why; installing $*" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y -qq --no-install-recommends "$@" >&2 \
        || { apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "$@" >&2; }
}

need_java() {
    java_is_new_enough && return
    need_packages "Java 17 or newer is missing" openjdk-17-jre-headless \
        || need_packages "Java 17 or newer is missing" default-jre-headless \
        || fail "Java cannot be installed"
    java_is_new_enough || fail "Java 17 or newer is missing even so; put it first on the PATH"
}

need_tool() {
    local tool=$1 package=$2
    command -v "$tool" >/dev/null && return
    need_packages "$tool is missing" "$package" || fail "$package cannot be installed"
    command -v "$tool" >/dev/null || fail "$tool is missing even so"
}

has_libraries() {
    # A copy of the wish is left behind when it is fulfilled.
    cmp -s "$pom" "$libs/pom.xml"
}

is_installed() {
    find_archive
    has_libraries && [[ -f $archive ]] && command -v java >/dev/null
}

install() {
    is_installed && return
    mkdir -p "$home"
    (
        flock 9
        need_tool ps procps
        need_java
        has_libraries || bring_libraries
        find_archive
        [[ -f $archive ]] || (make_archive) >/dev/null || {
            echo "kafka: there is no archive of classes; nodes start more slowly" >&2
            touch "$archive"
        }
    ) 9>"$home/lock"
    is_installed || fail "Kafka is not installed"
}

bring_libraries() {
    local fresh="$home/fresh"
    need_tool mvn maven
    rm -rf "$fresh" "$libs" "$home"/classes-*.jsa
    mvn -q -B -f "$pom" -Dmaven.repo.local="$home/repository" dependency:copy-dependencies \
        -DoutputDirectory="$fresh" -DincludeScope=runtime >"$home/maven.out" 2>&1 \
        || { cat "$home/maven.out" >&2; fail "Maven cannot bring Kafka"; }
    cp "$pom" "$fresh/pom.xml"
    mv "$fresh" "$libs"
    rm -rf "$home/repository" "$home/maven.out"
}

# Runs a node once to keep its classes as the virtual machine wants them: every later start takes
# half the work.
make_archive() {
    folder="$home/archive"
    rm -rf "$folder" "$home"/classes-*.jsa
    mkdir -p "$folder"
    trap 'stop_all; rm -rf "$folder"' EXIT
    pick_ports
    create
    KAFKA_JAVA_OPTIONS="$(java_options) -XX:ArchiveClassesAtExit=$folder/classes.jsa" start_node 1
    await_node 1 1 || return 1
    end_node "$(process_of 1)" "$patience"
    mv "$folder/classes.jsa" "$archive"
}

# A small heap, one thread that collects, and the compiler that starts quickly: for some minutes of work a node
# then needs half the processor time. What runs for longer can say KAFKA_JAVA_OPTIONS="-Xms512m -Xmx512m".
java_options() {
    echo "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xms128m -Xmx384m"
}

# Fills `java` with a command that has Kafka at hand.
find_java() {
    find_archive
    java=(java -Xshare:auto -Djava.awt.headless=true -cp "$libs/*")
    # An archive that does not fit (another Java, another place) is passed over without a word.
    [[ ! -s $archive ]] || java+=(-XX:SharedArchiveFile="$archive" -Xlog:cds=off -Xlog:cds+dynamic=off)
}

run_java() {
    local java options
    find_java
    read -r -a options <<<"$(java_options)"
    "${java[@]}" "${options[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel=error "$@"
}
