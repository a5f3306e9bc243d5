# Sourced by the scripts beside it: an environment that holds nothing of this machine's but what is listed here.
#
# What is proved in one environment is not proved: a variable that is set on the machine where CI runs can hide what
# everybody else sees. HOME is a new folder, and CI is set, since with it a skipped test is a failure.

# Tell whether a variable is kept.
kept() {
    case $1 in
        LANG) ;;                                              # the letters that the machine can write
        PIP_* | NPM_CONFIG_* | npm_config_*) ;;               # where packages come from: index, certificate, timeout
        SSL_CERT_FILE | SSL_CERT_DIR | REQUESTS_CA_BUNDLE) ;; # a network with a certificate authority of its own
        NODE_EXTRA_CA_CERTS) ;;                               # the same, for npm
        HTTPS_PROXY | HTTP_PROXY | NO_PROXY) ;;               # a network with one way out
        https_proxy | http_proxy | no_proxy) ;;               # the same, as other programs spell it
        PYENV_ROOT) ;;                                        # pyenv would look for its Pythons below the new HOME
        *) return 1 ;;
    esac
}

# Set the array `clean` to what starts a command with a HOME and a PATH (python3, node, git, servers) and nothing else.
make_clean() {
    local name
    clean=(env -i "HOME=$1" "PATH=$2" CI=true)
    [ -n "${LANG:-}" ] || clean+=(LANG=C.UTF-8)
    while read -r name; do
        if kept "$name"; then clean+=("$name=${!name}"); fi
    done < <(compgen -e)
}

# Copy what tells pip and npm below HOME where packages come from into another HOME.
copy_settings() {
    local file
    for file in .npmrc .config/pip .pip; do
        [ -e "$HOME/$file" ] || continue
        mkdir -p "$(dirname "$1/$file")"
        cp -R "$HOME/$file" "$1/$file"
    done
}
