# New connections while their listener is carried: none is lost.
load lib/zdtm
load lib/netns

CHURN=$ROOT/test/zdtm/lib/churn.py

setup() {
	netns_inside
	netns_pair
	dump_with=(--tcp-established)
	busy=yes
}

# server HOW ADDRESS
server() {
	fresh_dir
	start python3 "$CHURN" "$1" "$2"
	within 20 test -e "$dir/parked"
}

# client HOW ADDRESS: outside, as $client.
client() {
	rm -f "$dir/begun"
	(cd "$dir" && exec nsenter -t "$outside" -n python3 "$CHURN" "$@" >client.out 2>client.err 3>&- 4>&-) &
	client=$!
	within 20 test -e "$dir/begun"
}

nobody_noticed() {
	touch "$dir/enough.asking"
	wait "$client" || explain "the client failed: $(cat "$dir/client.err")"
	[ "$(cat "$dir/client.out")" -gt 10 ]
	touch "$dir/enough"
	finish 20
	[ ! -s "$dir/err" ] || explain "the server complains"
	netns_unlocked
}

@test "new connections all the time: nobody is refused, IPv4" {
	server serve 0.0.0.0
	client ask 10.9.0.1
	dump_and_restore
	dump_running
	dump_and_restore
	dump_running
	dump_and_restore
	nobody_noticed
}

@test "new connections all the time: nobody is refused, IPv6, at an address" {
	server serve fd09::1
	client ask fd09::1
	dump_and_restore
	dump_running
	dump_and_restore
	nobody_noticed
}

# The lock that stays holds them up; whoever asks meanwhile is served by the restored program.
@test "who asks between dump and restore is served after it" {
	server serve ::
	dump "${dump_with[@]}"
	client=''
	(cd "$dir" && exec nsenter -t "$outside" -n python3 "$CHURN" ask 10.9.0.1 >client.out 2>client.err 3>&- 4>&-) &
	client=$!
	within 10 asked
	crtool restore -d -D "$to"
	within 20 test -e "$dir/begun"
	nobody_noticed
}

asked() {
	in_netns "$outside" ss -Htn state syn-sent | grep -q 7777
}

@test "a program that does not accept is refused, and is served later" {
	server deaf 10.9.0.1
	client wait 10.9.0.1
	run -4 crtool dump -t "$pid" -D "$(images)" "${dump_with[@]}"
	[[ $output == *"listening on 10.9.0.1:7777"*"1 connections wait to be accepted"*"--tcp-close ends them"* ]]
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"1 connections wait to be accepted"* ]]
	netns_unlocked
	touch "$dir/enough"
	wait "$client" || explain "the client failed: $(cat "$dir/client.err")"
	[ "$(cat "$dir/client.out")" = "at last" ]
	finish 20
}

@test "a program that does not accept, --tcp-close: the client is reset, and that is told" {
	server deaf 10.9.0.1
	client wait 10.9.0.1
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to" --tcp-close
	[[ $output == *"1 connections that wait to be accepted, as --tcp-close asks"* ]]
	! wait "$client" || explain "the client saw no error"
	grep -q ConnectionResetError "$dir/client.err"
	crtool restore -d -D "$to"
	client wait 10.9.0.1
	touch "$dir/enough"
	wait "$client" || explain "the client failed: $(cat "$dir/client.err")"
	[ "$(cat "$dir/client.out")" = "at last" ]
	finish 20
}

# Whom a dump holds up asks again after a second.
@test "a program that connects to itself all the time" {
	server both 127.0.0.1
	within 20 test -e "$dir/begun"
	dump_running
	dump_and_restore
	touch "$dir/enough.asking"
	finish 30
	[ ! -s "$dir/err" ] || explain "it complains"
	[ "$(cat "$dir/out")" -gt 10 ]
	netns_unlocked
}
