load lib/zdtm

@test "a pipe keeps its content, capacity and flags" {
	zdtm pipe
}

@test "packets keep their borders" {
	zdtm pipe packet
}

@test "a full pipe stays full" {
	zdtm pipe full
}

@test "a pipe without writers ends after its content, one without readers is broken" {
	zdtm pipe eof
	zdtm pipe broken
}

@test "ends that were opened by way of /proc come back so" {
	zdtm pipe reopened
}

# start_fed: the victim's stdin is a pipe that somebody outside holds.
start_fed() {
	fresh_dir
	mkfifo "$BATS_TEST_TMPDIR/unused"
	start bash -c 'sleep 1000 | exec "$1" stdin' sh "$BUILD/test/zdtm/pipe"
	within 20 test -e "$dir/parked"
	pid=$(pgrep -s "$pid" -x pipe)
}

@test "a pipe from outside is refused by name, with the remedy" {
	start_fed
	run -4 crtool dump -j -t "$pid" -D "$(images)" 3>&-
	echo "$output"
	running "$pid"
}
