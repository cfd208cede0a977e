load lib/zdtm

# The victim says 77 where this CPU has no such registers.
xstate() {
	"$BUILD/test/zdtm/xstate" "$1" probe 2>/dev/null || [ $? -ne 77 ] || skip "this CPU has no $1"
	zdtm xstate "$1"
}

@test "x87 registers of each thread" {
	xstate x87
}

@test "SSE registers of each thread" {
	xstate sse
}

@test "AVX registers of each thread" {
	xstate avx
}

@test "AVX-512 registers of each thread" {
	xstate avx512
}

@test "AMX tiles of each thread" {
	xstate amx
}
