#!/usr/bin/env bash
# The whole story through the terminal client and a real server: people find each other, make a
# group, talk, and go on after the server was killed. Says what it checks; stops at the first lie.
#
#   client-sdk/cli/story.sh            binaries from ${CARGO_TARGET_DIR:-target}/release
#   HEARTH=… HEARTHD=… KEEP=1 client-sdk/cli/story.sh      others; keeps the directory
set -euo pipefail

bin=${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/../.." && pwd)/target}/release
hearth=${HEARTH:-$bin/hearth}
hearthd=${HEARTHD:-$bin/hearthd}
work=$(mktemp -d)
port=0
server=

finish() {
    local status=$?
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
    [ $status = 0 ] || { echo "FAILED; the server's last lines:"; tail -5 "$work/hearthd.log"; }
    if [ -n "${KEEP:-}" ] || [ $status != 0 ]; then echo "kept: $work"; else rm -rf "$work"; fi
    exit $status
}
trap finish EXIT

say() { printf '%4ss  %s\n' "$SECONDS" "$*"; }
fail() { echo "story: $*" >&2; exit 1; }
# equal WHAT WANTED GOT
equal() { [ "$2" = "$3" ] || fail "$1: wanted '$2', got '$3'"; }

start_server() {
    : > "$work/ready"
    "$hearthd" serve --dev --json --listen "127.0.0.1:$port" --data "$work/server" \
        > "$work/ready" 2>> "$work/hearthd.log" &
    server=$!
    disown "$server"
    for _ in $(seq 300); do
        grep -q '"ready":true' "$work/ready" && break
        kill -0 "$server" 2>/dev/null || fail "the server does not start"
        sleep 0.1
    done
    port=$(sed -n 's/.*"listen":.*127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/ready" | head -1)
    [ -n "$port" ] || fail "the server is not ready: $(cat "$work/ready")"
}

# as WHO COMMAND…: one command of a person, its JSON on standard output
as() { local who=$1; shift; "$hearth" --home "$work/$who" --json "$@"; }
# refused CODE WHO COMMAND…: the command must fail with the code
refused() {
    local code=$1 who=$2 out; shift 2
    if out=$(as "$who" "$@" 2>/dev/null); then fail "$who $*: should have been refused: $out"; fi
    case $out in *"\"code\":\"$code\""*) ;; *) fail "$who $*: wanted $code, got $out" ;; esac
}
bodies() { sed -n 's/.*"event":"message_received".*/&/p' "$1" | sed 's/.*"body":"\([^"]*\)".*/\1/'; }
lines() { local who=$1 from=$2 to=$3; seq "$from" "$to" | sed "s/^/$who says /"; }
count() { grep -c "$1" "$2" || true; }
# same WHAT FILE FROM-WHOM FIRST LAST: the file's messages are exactly these, in order, once each
same() {
    bodies "$2" > "$work/got"; lines "$3" "$4" "$5" > "$work/wanted"
    diff "$work/wanted" "$work/got" > "$work/diff" || fail "$1: $(head -5 "$work/diff")"
}
# talk WHO FIRST LAST LISTENER…: one sends, the others read along
talk() {
    local who=$1 first=$2 last=$3 listener pids=(); shift 3
    for listener in "$@"; do
        as "$listener" receive --count $((last - first + 1)) --timeout 180 > "$work/$listener.in" &
        pids+=($!)
    done
    lines "$who" "$first" "$last" | as "$who" send walk > "$work/$who.out"
    equal "$who: acknowledged" $((last - first + 1)) "$(count '"number":' "$work/$who.out")"
    for listener in "${pids[@]}"; do wait "$listener" || fail "a listener failed"; done
    for listener in "$@"; do same "$listener reads $who" "$work/$listener.in" "$who" "$first" "$last"; done
}

start_server
say "the server listens on port $port"

for who in a b c; do as "$who" register --server "localhost:$port" --name "${who^}" > "$work/$who.reg"; done
grep -q '"address":"[0-9a-f]*@localhost"' "$work/a.reg" || fail "no address: $(cat "$work/a.reg")"
as a username claim aspen | grep -q '"username":"aspen@localhost"' || fail "aspen is not claimed"
as b username claim birch > /dev/null
as c username claim cedar > /dev/null
refused name_taken c username claim birch
refused already_registered a register --server "localhost:$port"
refused not_registered nobody account
say "a, b and c are registered and have names; a taken name is refused"

as a connect birch@localhost > /dev/null
as a connect cedar@localhost > /dev/null
refused not_found a connect nobody@localhost
request=$(as b connections | sed -n 's/.*"request":\([0-9]*\).*/\1/p')
[ -n "$request" ] || fail "b sees no request"
as b connections accept "$request" | grep -q '"accepted":true' || fail "b cannot accept"
as c connections accept --all | grep -q '"accepted":true' || fail "c cannot accept"
equal "contacts of a" 2 "$(as a contacts | count '"contact":' -)"
say "a asked b and c, and they accepted"

as a group create walk > /dev/null
refused name_taken a group create walk
as a group invite walk birch@localhost cedar@localhost > /dev/null
for who in b c; do
    as "$who" receive > "$work/$who.in"
    equal "$who joins" 1 "$(count '"event":"group_joined"' "$work/$who.in")"
    equal "$who knows the group's name" walk \
        "$(as "$who" group list | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')"
    equal "members as $who sees them" 3 "$(as "$who" group members walk | count '"verified":true' -)"
done
as a receive > /dev/null
say "a made a group; b and c are in it, and everybody is verified"

talk a 1 300 b c
talk c 1 300 a b
talk b 1 200 a c
say "800 messages, read by everybody in order, once"

as c receive --count 200 --timeout 180 > "$work/c.in" &
listener=$!
lines a 301 500 | as a send walk > "$work/a.out" &
sender=$!
for _ in $(seq 600); do
    [ "$(count '"number":' "$work/a.out")" -ge 80 ] && break
    kill -0 $sender 2>/dev/null || fail "a cannot send"
    sleep 0.05
done
before=$(count '"number":' "$work/a.out")
[ "$before" -lt 200 ] || fail "all were sent before the server could be killed"
kill -9 "$server"
sleep 1
start_server
wait $sender || fail "a gave up"
equal "acknowledged to a" 200 "$(count '"number":' "$work/a.out")"
sed 's/.*"number":\([0-9]*\).*/\1/' "$work/a.out" > "$work/numbers"
sort -n -u "$work/numbers" | diff - "$work/numbers" > /dev/null || fail "numbers repeat or go back"
say "the server was killed after $before of 200 messages and started again; a noticed nothing"
wait $listener || fail "c lost the server"
same "c reads on" "$work/c.in" a 301 500
say "c was listening and has all 200, in order, once"
as b receive > "$work/b.in"
same "b returns" "$work/b.in" a 301 500
equal "history of b" 1000 "$(as b history walk --limit 5000 | count '"state":' -)"
equal "nothing twice for b" 0 "$(as b receive | count '"event":"message_received"' -)"
say "b was away and has all 200, in order, once"

as a group remove walk cedar@localhost > /dev/null
as a send walk "without cedar" > /dev/null
as c receive > "$work/c.in"
equal "c learns it" 1 "$(count '"event":"removed_from_group"' "$work/c.in")"
equal "c reads nothing later" 0 "$(count '"event":"message_received"' "$work/c.in")"
if as c send walk "am I there?" > /dev/null 2>&1; then fail "c can still send"; fi
as b receive > "$work/b.in"
equal "b reads on" "without cedar" "$(bodies "$work/b.in")"
say "c was removed, reads nothing later and cannot send"

as b group update walk > /dev/null
as a send walk "fresh keys" > /dev/null
as a group update walk > /dev/null
as b send walk "fresh again" > /dev/null
equal "b reads" "fresh keys" "$(as b receive > "$work/b.in"; bodies "$work/b.in")"
equal "a reads" "fresh again" "$(as a receive > "$work/a.in"; bodies "$work/a.in")"
say "keys were updated on both sides, and they talk on"

as d register --server "localhost:$port" --name D > /dev/null
as d username claim dogwood > /dev/null
as b connect dogwood@localhost > /dev/null
as d connections accept --all > /dev/null
refused not_admin b group invite walk dogwood@localhost
as a group promote walk birch@localhost > /dev/null
as b receive > "$work/b.in"
equal "b is admin" 1 "$(count '"event":"roles_changed"' "$work/b.in")"
as b group invite walk dogwood@localhost > /dev/null
as a send walk "hello dogwood" > /dev/null
as d receive > "$work/d.in"
equal "d reads what comes after" "hello dogwood" "$(bodies "$work/d.in")"
equal "d has no earlier history" 1 "$(as d history walk | count '"state":' -)"
as d send walk "hello all" > /dev/null
equal "a reads d" "hello all" "$(as a receive > "$work/a.in"; bodies "$work/a.in")"
equal "b reads both" "hello dogwood hello all" "$(as b receive > "$work/b.in"; bodies "$work/b.in" | paste -sd' ')"
say "b was made admin; d joined later and reads only what came after"

as b send walk --to dogwood@localhost "for you alone" > /dev/null
as b group ticket walk > /dev/null
as a send walk "by another way" > /dev/null
as d receive > "$work/d.in"
equal "d hears it" 1 "$(count '"body":"for you alone".*"event":"direct_received"' "$work/d.in")"
as a receive > "$work/a.in"
equal "a does not" 0 "$(count 'for you alone' "$work/a.in")"
equal "b reads on" "by another way" "$(as b receive > "$work/b.in"; bodies "$work/b.in")"
say "b told d something that a did not hear, and gave the group another ticket"

two=$(as d group open B | sed -n 's/.*"name":"\([^"]*\)".*/\1/p')
[ -n "$two" ] || fail "d opens no group of two"
refused alone d send "$two" "too early"
as b receive > "$work/b.in"
equal "b enters by itself" 1 "$(count '"event":"group_joined"' "$work/b.in")"
as d receive > /dev/null
as d send "$two" "just us" > /dev/null
equal "b reads d" "just us" "$(as b receive > "$work/b.in"; bodies "$work/b.in")"
as b send dogwood@localhost "just us two" > /dev/null
equal "d reads b" "just us two" "$(as d receive > "$work/d.in"; bodies "$work/d.in")"
equal "a group of two" 1 "$(as b group list | count '"kind":"connection".*"members":2\|"members":2.*"kind":"connection"' -)"
refused not_admin d group invite "$two" B
say "d opened a group of two with b, who entered by an external commit, and they talk there"

as d group leave walk | grep -q '"leaving":true' || fail "d cannot leave"
as a receive > "$work/a.in"
equal "a hears of d's wish" 1 "$(count '"event":"leave_proposed"' "$work/a.in")"
as a group update walk > /dev/null
as d receive > "$work/d.in"
equal "d is out" 1 "$(count '"event":"left_group"' "$work/d.in")"
if as d send walk "am I there?" > /dev/null 2>&1; then fail "d can still send"; fi
equal "members without d" 2 "$(as b group members walk | count '"leaf":' -)"
say "d asked to leave, and was let go by the next change"

as a group demote walk me > /dev/null
refused not_admin a group remove walk birch@localhost
as b receive > /dev/null
refused last_admin b group leave walk
as b group delete walk | grep -q '"deleted":true' || fail "b cannot delete"
as a receive > "$work/a.in"
equal "a hears of the end" 1 "$(count '"event":"group_deleted"' "$work/a.in")"
if as a send walk "is anybody there?" > /dev/null 2>&1; then fail "a can still send"; fi
equal "a keeps the history" 1 "$(as a history walk --limit 5000 | count '"body":"by another way"' -)"
say "a stepped down, b could not leave as the last admin and deleted the group; the history stays"
echo "the story holds, in ${SECONDS} s"
