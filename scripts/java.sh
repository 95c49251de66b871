#!/usr/bin/env bash
# scripts/java.sh: makes sure that there is a Java for Spark (17 or later). On Debian and Ubuntu
# it installs one if it may; elsewhere it says what to install.
set -euo pipefail

java=${JAVA_HOME:+$JAVA_HOME/bin/}java

major() {
    "$java" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p' | head -n 1
}

enough() {
    command -v "$java" >/dev/null && [ "$(major)" -ge 17 ] 2>/dev/null
}

install_on_debian() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || return 1
    echo "Spark needs Java 17 or later: installing it with apt-get."
    apt-get update -qq
    for package in openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless; do
        if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >/dev/null </dev/null; then
            return 0
        fi
    done
    return 1
}

enough && exit 0
[ -z "${JAVA_HOME:-}" ] && install_on_debian && hash -r && enough && exit 0

found=$(major || true)
echo "Spark needs Java 17 or later; '$java' is ${found:+version }${found:-not there}." >&2
cat >&2 <<'END'
Install it, and where several are installed let JAVA_HOME name it:
    Debian, Ubuntu      apt-get install openjdk-17-jre-headless   (or openjdk-21-jre-headless)
    Fedora, RHEL        dnf install java-17-openjdk-headless      (or java-21-openjdk-headless)
    Arch                pacman -S jre17-openjdk-headless
    Alpine              apk add openjdk17-jre-headless
    macOS (Homebrew)    brew install openjdk@17
    Conda               conda install -c conda-forge openjdk=17
END
exit 1
