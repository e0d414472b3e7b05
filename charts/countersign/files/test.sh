# Asks what the mesh depends on, by bash alone: the image needs no HTTP client.
ask() { # HOST/PORT PATH
    exec 3<>"/dev/tcp/$1" || return 1
    printf 'GET %s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n' "$2" "${1%/*}" >&3
    timeout 10 cat <&3
    exec 3<&- 3>&-
}
expect() { # WORDS HOST/PORT PATH
    local answer=
    for _ in {1..30}; do
        # In a process of its own: bash ends at a connection that is refused.
        answer=$(ask "$2" "$3" 2>&1) || true
        if [[ $answer == 'HTTP/1.1 200 '* && $answer == *"$1"* ]]; then
            echo "good: $3"
            return
        fi
        sleep 1
    done
    printf 'not good: %s at %s\n%s\n' "$3" "$2" "$answer"
    exit 1
}
expect '"ready": true' "$ADMIN" /readyz
if [[ $SCHEME == https ]]; then
    echo 'not asked: /.well-known/jwks.json, for the main port speaks TLS'
else
    expect '"kty"' "$MAIN" /.well-known/jwks.json
fi
