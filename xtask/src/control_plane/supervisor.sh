# Runs the daemons of one control plane and ends them when standard input ends:
# because the harness closed it, or because the harness is gone, however it went.
#
# Arguments: the control plane's folder; "remove" if it is to go away at the end.
# Standard input, a line each: NAME starts a daemon, NAME.run is what it runs; -NAME ends it.
# Writes NAME.log, NAME.pid while it runs and, after its end, NAME.exit (the exit code).
set -u
folder=$1
afterwards=$2
cd "$folder" || exit 1
# A stray signal must not leave the daemons without their supervisor. The traps
# do not reach the daemons: a subshell starts with the defaults.
trap : HUP INT TERM

run() {
    (
        sh "./$1.run" >"$1.log" 2>&1 </dev/null &
        echo $! >"$1.pid.new" && mv "$1.pid.new" "$1.pid"
        wait $!
        echo $? >"$1.exit.new" && mv "$1.exit.new" "$1.exit"
        # The id may be another process's soon.
        rm -f "$1.pid"
    ) &
}

signal() {
    wanted=$1
    shift
    for name; do
        # A daemon that was asked for a moment ago may not have written its id.
        tries=0
        while [ ! -f "$name.pid" ] && [ ! -f "$name.exit" ] && [ "$tries" -lt 200 ]; do
            sleep 0.05
            tries=$((tries + 1))
        done
        id=$(cat "$name.pid" 2>/dev/null) && kill "-$wanted" "$id" 2>/dev/null
    done
}

any_alive() {
    for name; do
        id=$(cat "$name.pid" 2>/dev/null) && kill -0 "$id" 2>/dev/null && return 0
    done
    return 1
}

# Arguments: how many twentieths of a second a daemon may take to end by itself; its name.
end() {
    limit=$1
    shift
    signal TERM "$@"
    tries=0
    while any_alive "$@" && [ "$tries" -lt "$limit" ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    if any_alive "$@"; then signal KILL "$@"; fi
}

started=
while read -r daemon; do
    case $daemon in
    # What is ended on its own may have something to finish.
    -*) end 400 "${daemon#-}" & ;;
    *)
        rm -f "$daemon.pid" "$daemon.exit"
        run "$daemon"
        started="$daemon $started"
        ;;
    esac
done

# The last one first: each depends on those before it, and the API server hangs on when its etcd
# goes first.
for daemon in $started; do end 80 "$daemon"; done
wait
if [ "$afterwards" = remove ]; then
    cd / && rm -rf "$folder"
fi
