# Signed and encrypted checkpoints, with keys as openssl(1) makes them.
load ../zdtm/lib/zdtm
load ../fault/lib/refuse

setup() {
	keys=$BATS_TEST_TMPDIR/keys
	mkdir "$keys"
	umask 077
	for name in mine other; do
		openssl genpkey -algorithm ed25519 -out "$keys/$name.pem"
		openssl pkey -in "$keys/$name.pem" -pubout -out "$keys/$name.pub"
		openssl rand -hex 32 >"$keys/$name.key"
	done
	umask 022
}

# A checkpoint of park in $to, made with these options.
checkpoint() {
	park park
	dump "$@"
}

# bad MESSAGE OPTIONS...: restore says so with 6, and nobody has the pid.
bad() {
	local message=$1

	shift
	says 6 "checkpoint $to: $message" crtool restore -d -D "$to" "$@"
	gone "$pid"
}

# flip FILE OFFSET: turn over the lowest bit of a byte.
flip() {
	local byte

	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	# shellcheck disable=SC2059 # the byte itself
	printf "\\$(printf %o $((byte ^ 1)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# Each file, flipped at some places or cut off, is refused with these options.
damage() {
	local file size part

	for file in "$to"/*; do
		size=$(stat -c %s "$file")
		for part in {0..5}; do
			flip "$file" $((size * part / 6))
			bad "*" "$@"
			flip "$file" $((size * part / 6))
		done
		cp "$file" "$dir/aside"
		truncate -s $((size > 262144 ? 262144 : size - 1)) "$file"
		bad "*" "$@"
		cp "$dir/aside" "$file"
	done
}

@test "what was signed is restored with the public key; openssl agrees" {
	checkpoint --sign "$keys/mine.pem"
	openssl pkeyutl -verify -pubin -inkey "$keys/mine.pub" -rawin -in "$to/manifest.img" -sigfile "$to/manifest.sig"
	crtool show --verify "$keys/mine.pub" -D "$to" >/dev/null
	crtool restore -d --verify "$keys/mine.pub" -D "$to"
	release
}

@test "another key, a flipped bit, a file that is cut off: refused with 6, nobody is forked" {
	checkpoint --sign "$keys/mine.pem"
	bad "manifest.sig: is not by the key of --verify; it was changed, or signed by another" --verify "$keys/other.pub"
	damage --verify "$keys/mine.pub"
	mv "$to/manifest.sig" "$dir/aside"
	bad "manifest.sig is missing; it was not signed (dump --sign), or not copied" --verify "$keys/mine.pub"
	mv "$dir/aside" "$to/manifest.sig"
	crtool restore -d --verify "$keys/mine.pub" -D "$to"
	release
}

@test "what was not signed is refused with --verify, and by show, too" {
	checkpoint
	bad "manifest.sig is missing; *" --verify "$keys/mine.pub"
	says 6 "checkpoint $to: manifest.sig is missing; *" crtool show --verify "$keys/mine.pub" -D "$to"
	says 6 "checkpoint $to: manifest.sig is missing; *" crtool unlock --verify "$keys/mine.pub" -D "$to"
	crtool restore -d -D "$to"
	release
}

@test "what was encrypted shows nothing, and comes back with the key" {
	checkpoint --encrypt "$keys/mine.key"
	run -1 grep -aqE 'park|crtool [0-9]|/proc|ELF' "$to"/*
	bad "is encrypted; give its key (--decrypt)"
	bad "is encrypted with another key, or damaged" --decrypt "$keys/other.key"
	damage --decrypt "$keys/mine.key"
	[ "$(crtool show --decrypt "$keys/mine.key" -D "$to" | grep -c '^task ')" = 1 ]
	crtool restore -d --decrypt "$keys/mine.key" -D "$to"
	release
}

@test "what was not encrypted is refused with --decrypt" {
	checkpoint
	bad "is not encrypted, but --decrypt was given; it is not by who has the key" --decrypt "$keys/mine.key"
	crtool restore -d -D "$to"
	release
}

@test "files of two checkpoints do not mix, though both are signed and encrypted with the same keys" {
	local one file with=(--verify "$keys/mine.pub" --decrypt "$keys/mine.key")

	checkpoint --sign "$keys/mine.pem" --encrypt "$keys/mine.key"
	one=$to
	crtool restore -d "${with[@]}" -D "$to"
	release
	checkpoint --sign "$keys/mine.pem" --encrypt "$keys/mine.key"
	for file in state.img pages-0.img manifest.sig; do
		cp "$to/$file" "$dir/aside"
		cp "$one/$file" "$to/$file"
		bad "*" "${with[@]}"
		cp "$dir/aside" "$to/$file"
	done
	crtool restore -d "${with[@]}" -D "$to"
	release
}

@test "keys by descriptor" {
	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to" --sign fd:10 --encrypt fd:11 10<"$keys/mine.pem" 11<"$keys/mine.key"
	within 5 gone "$pid"
	crtool restore -d -D "$to" --report --verify fd:10 --decrypt fd:11 10<"$keys/mine.pub" 11<"$keys/mine.key"
	release
}

@test "what is no key is refused before anything is done" {
	park park
	refused 2 "--sign $keys/mine.pub: is not a secret Ed25519 key in PEM without passphrase" --sign "$keys/mine.pub"
	refused 2 "--encrypt $keys/mine.pem: is not a key of 32 bytes or 64 hexadecimal digits" --encrypt "$keys/mine.pem"
	refused 2 "--sign $keys/none: No such file or directory" --sign "$keys/none"
	refused 2 "--encrypt fd:77: no such descriptor is open" --encrypt fd:77
	openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret -out "$keys/locked.pem"
	refused 2 "--sign $keys/locked.pem: is not *" --sign "$keys/locked.pem"
	openssl genpkey -algorithm x25519 -out "$keys/x.pem"
	refused 2 "--sign $keys/x.pem: is not *" --sign "$keys/x.pem"
	release
}

@test "memory of all kinds comes back from signed and encrypted images" {
	dump_with=(--sign "$keys/mine.pem" --encrypt "$keys/mine.key")
	restore_with=(--verify "$keys/mine.pub" --decrypt "$keys/mine.key")
	once memory_large
	once memfd
	once memory_shared
	once memory_fork
	accept='\(deleted\)|/#[0-9]|/there/two'
	once inode many
}

@test "a new pid namespace, with keys" {
	checkpoint --sign "$keys/mine.pem" --encrypt "$keys/mine.key"
	crtool restore -d --new-pidns --pidfile "$dir/copy" --verify "$keys/mine.pub" --decrypt "$keys/mine.key" -D "$to"
	pid=$(<"$dir/copy")
	release
}
