# Increments brought back in every other way, and made in every other way: lazily, on demand, as a stream, folded, thinned, compressed one
# by one, as snapshots. The program works on its memory all the time, in each way that there is.
load lib/zdtm
load lib/chain
load ../fault/lib/refuse

setup() {
	set -o pipefail
}

# Three checkpoints of $pid, the second of which it outlives.
grow() {
	park memory_lazy
	chain_new
	save 1 pre-dump
	save 2 dump -R --track-mem
	save 3 dump
	within 5 gone "$pid"
}

# back N [OPTIONS]: it comes back from that, and goes on.
back() {
	local n=$1

	shift
	crtool restore -d -D "$chain/$n" "$@"
	within 20 all_is_there || explain "its memory does not come"
	running "$pid"
}

ended() {
	kill -KILL "$pid"
	within 20 gone "$pid"
}

@test "increments come back lazily, and on demand, from any of them" {
	grow
	back 3 --lazy
	ended
	back 2 --lazy
	ended
	crtool restore -d --on-demand -D "$chain/2"
	running "$pid"
	ended
	crtool restore -d --on-demand -D "$chain/3"
	running "$pid"
	release
}

@test "what came back lazily from increments is the beginning of others" {
	grow
	crtool restore -d --lazy -D "$chain/3"
	save 4 dump -R --track-mem
	save 5 pre-dump
	save 6 dump --compress lz4
	within 5 gone "$pid"
	back 6 --lazy
	ended
	crtool squash -D "$chain/6"
	rm -r "$chain"/[1-5]
	back 6
	release
}

@test "copies of increments run beside each other, lazily and on demand" {
	local one

	grow
	crtool restore -d --lazy --new-pidns --pidfile "$dir/one" -D "$chain/2"
	crtool restore -d --on-demand --new-pidns --pidfile "$dir/two" -D "$chain/3"
	touch "$dir/release"
	for one in one two; do
		pid=$(<"$dir/$one")
		within 20 gone_or_zombie
	done
	[ ! -s "$dir/err" ] || explain "one did not pass"
	[ "$(cat "$dir/result")" = pass ]
}

@test "increments as one stream, restored lazily" {
	grow
	says 6 "checkpoint -: is an increment, and its parent is not in the stream; unpack it beside its parent" \
		crtool restore -d --lazy -D - < <(crtool pack -D "$chain/3")
	crtool pack -D "$chain/3" | crtool unpack -D "$chain/4"
	back 4 --lazy
	ended
	crtool squash -D "$chain/3"
	crtool pack -D "$chain/3" | crtool restore -d --lazy -D -
	within 20 all_is_there
	running "$pid"
	release
}

@test "increments that were thinned come back lazily and on demand" {
	grow
	crtool dedup -D "$chain/3"
	back 3 --lazy
	ended
	crtool restore -d --on-demand -D "$chain/3"
	running "$pid"
	release
}

@test "a chain some of which is compressed, each in another way, and snapshots in it" {
	park memory_lazy
	chain_new
	save 1 pre-dump --compress zstd:5
	save 2 dump -R --track-mem --snapshot
	save 3 pre-dump --compress lz4
	save 4 dump -R --track-mem --snapshot --compress zstd
	save 5 dump
	within 5 gone "$pid"
	back 2
	ended
	back 4 --lazy
	ended
	says 2 "checkpoint $chain/*: --on-demand needs page files that are read as they are: not compressed, *; use --lazy" \
		crtool restore -d --on-demand -D "$chain/5"
	back 5 --lazy
	ended
	crtool squash -D "$chain/5"
	rm -r "$chain"/[1-4]
	back 5
	release
}

# ---- those that are not what they were, though their number is ----

# again N: the next one of TRACK_EXEC is there.
again() {
	touch "$dir/again.$1"
	within 20 has_begun "$1"
}

has_begun() {
	[ -e "$dir/begun.$1" ]
}

# replaced HOW: a program that is tracked is another one in between, with all its memory at the same place.
replaced() {
	local n

	park track_exec "$1"
	chain_new
	save 0 dump -s --track-mem
	same
	for n in 1 2 3 4; do
		go_on
		again "$n"
		if ((n % 2)); then
			save "$n" dump -s --track-mem
		else
			save "before.$n" pre-dump
			save "$n" dump -s --track-mem
		fi
		same >"$dir/same" || explain "round $n: $(tail -n 5 "$dir/same")"
	done
	go_on
	kill -KILL -- "-$pid"
	within 5 gone "$pid"
	crtool restore -d -D "$chain/$last"
	release
}

@test "a tracked program that executes itself is stored anew" { replaced exec; }

@test "a tracked process that ends, and another one with its number" {
	[ "$(id -u)" = 0 ] || skip "not root"
	replaced respawn
}
