# Compressed checkpoints: everything comes back, with keys or without.
load lib/zdtm
load ../fault/lib/refuse

pages_kib() {
	du -kc --apparent-size "$to"/pages-*.img | tail -1 | cut -f 1
}

@test "much memory comes back from zstd" {
	dump_with=(--compress zstd)
	once memory_large
}

@test "memory that processes share is stored once, compressed, and shared again" {
	local accept=' map\.'

	dump_with=(--compress zstd:3)
	once memory_cow 1
	once memory_fork
}

@test "shared memory, memfds and files without a name, compressed" {
	dump_with=(--compress lz4)
	once memory_shared
	once memfd
	accept='\(deleted\)|/#[0-9]|/there/two'
	once inode many
}

@test "a snapshot, compressed" {
	dump_with=(--compress lz4)
	park memory_large
	snapshot_and_restore
	release
}

@test "compressed images are smaller, and show tells how" {
	park zoo
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	plain=$(pages_kib)
	to=$(images)
	crtool dump -t "$pid" -D "$to" --compress zstd
	[ $(($(pages_kib) * 2)) -lt "$plain" ]
	crtool show -D "$to" | grep -q 'codec: 2'
	crtool restore -d -D "$to"
	release
}

@test "signed, encrypted and compressed" {
	openssl genpkey -algorithm ed25519 -out "$BATS_TEST_TMPDIR/key.pem"
	openssl rand 32 >"$BATS_TEST_TMPDIR/key"
	dump_with=(--compress lz4 --sign "$BATS_TEST_TMPDIR/key.pem" --encrypt "$BATS_TEST_TMPDIR/key")
	restore_with=(--verify "$BATS_TEST_TMPDIR/key.pem" --decrypt "$BATS_TEST_TMPDIR/key")
	once memory_large
	once memory_shared
}

@test "a compressed page file that was flipped or cut off is refused, nobody is forked" {
	park park
	dump --compress zstd
	cp "$to/pages-0.img" "$dir/aside"
	size=$(stat -c %s "$to/pages-0.img")
	for at in 0 100 $((size - 1)); do
		printf '\377\376' | dd of="$to/pages-0.img" bs=1 seek="$at" conv=notrunc status=none
		truncate -s "$size" "$to/pages-0.img"
		says 6 "checkpoint $to: pages-0.img: wrong checksum *" crtool restore -d -D "$to"
		cp "$dir/aside" "$to/pages-0.img"
	done
	truncate -s -1 "$to/pages-0.img"
	says 6 "checkpoint $to: pages-0.img: * bytes instead of *" crtool restore -d -D "$to"
	cp "$dir/aside" "$to/pages-0.img"
	gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "what is no codec is refused before anything is done" {
	park park
	refused 2 "dump: --compress gzip: is none of lz4, zstd, zstd:1 to zstd:19" --compress gzip
	refused 2 "dump: --compress zstd:20: is none of *" --compress zstd:20
	release
}
