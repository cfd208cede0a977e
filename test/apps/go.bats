load lib/apps

setup_file() {
	! command -v go >/dev/null || GOFLAGS=-mod=mod GO111MODULE=off GOCACHE=$BUILD/test/go-cache CGO_ENABLED=0 \
		go build -o "$BATS_FILE_TMPDIR/busy" "$PROGRAMS/busy.go"
}

@test "go: goroutines, a ticker, an idle poller, a child; a static binary" {
	needs go
	begin() {
		start "$BATS_FILE_TMPDIR/busy"
		within 20 lines ticks 1
	}
	carry dump_and_restore_twice dump_running
}
