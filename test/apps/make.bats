load lib/apps

# Sixteen sources that take a while.
setup_file() {
	local i

	mkdir "$BATS_FILE_TMPDIR/src"
	cd "$BATS_FILE_TMPDIR/src" || return
	for i in {1..16}; do
		{
			for f in {1..60}; do
				echo "int f${i}_$f(int x) { int s = 0; for (int i = 0; i < x; i++) s += i * $f ^ s >> $i; return s; }"
			done
			echo "int part$i(int x) { return f${i}_1(x) + f${i}_60(x); }"
		} >"part$i.c"
	done
	{
		printf '#include <stdio.h>\n'
		printf 'int part%d(int);\n' {1..16}
		echo 'int main(void) { printf("%d\n", 0'
		printf '+ part%d(1000)' {1..16}
		echo '); }'
	} >main.c
	echo 'prog: main.o $(patsubst %.c,%.o,$(wildcard part*.c)); @cc -o $@ $(sort $^)' >Makefile
	echo '%.o: %.c; @cc -O2 -c $< -o $@' >>Makefile
}

@test "make -j4 compiling: a job server, compilers, assemblers" {
	needs cc make
	begin() {
		cp "$BATS_FILE_TMPDIR"/src/* "$dir"
		start make -j4
		within 30 objects 4
	}
	objects() {
		[ "$(compgen -G "$dir/*.o" | wc -l)" -ge "$1" ]
	}
	results() {
		"$dir/prog" && sha256sum "$dir/prog" | cut -d' ' -f1
	}
	carry dump_and_restore_twice dump_running
}
