load lib/zdtm

@test "a listener keeps its address, backlog and options: IPv4" { zdtm sk_tcp listener 4; }
@test "a listener keeps its address, backlog and options: IPv6" { zdtm sk_tcp listener 6; }
@test "a listener of both IPv4 and IPv6" { zdtm sk_tcp listener dual; }
@test "a listener of MPTCP, as Go makes them" { zdtm sk_tcp listener mptcp; }
@test "listeners that share a port (SO_REUSEPORT)" { zdtm sk_tcp group; }
@test "bound and not listening" { zdtm sk_tcp bound; }
@test "neither bound nor connected" { zdtm sk_tcp fresh; }

@test "connections that have ended keep what was not read, and the error that was not told: IPv4" { zdtm sk_tcp_ended 4; }
@test "connections that have ended keep what was not read, and the error that was not told: IPv6" { once sk_tcp_ended 6; }

@test "an error that was not told, where the memory of the kernel cannot be read, becomes a reset, and that is said" {
	park sk_tcp_ended 4
	run -0 blind_crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (sk_tcp_ended): fd "*"which error the program was not told yet: it is told that the connection was reset"* ]]
	release
}

@test "a port that is taken: its owner is named" {
	local to port other

	to=$(images)
	park sk_tcp bound
	crtool dump -t "$pid" -D "$to"
	port=$(crtool show -D "$to" | port_in)
	python3 -c 'import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
open(sys.argv[2], "w")
time.sleep(60)' "$port" "$dir/taken" 3>&- 4>&- &
	other=$!
	within 20 test -e "$dir/taken"
	run -8 crtool restore -d -D "$to"
	[[ $output == *"127.0.0.1:$port is in use by task $other (python3"* ]]
	kill "$other"
	wait "$other" || true
	crtool restore -d -D "$to"
	release
}

# The port of the only address in a record.
port_in() {
	sed -nE 's/.*local: *(0200|02 00|"?0x0200)? ?([0-9a-f]{4}).*/\2/p' | head -1 | { read -r hex && echo $((16#$hex)); }
}
