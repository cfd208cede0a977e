/* The command line. */
#include <stdio.h>

int main(int argc, char **argv)
{
	fprintf(stderr, "crtool: error: no command yet\n");
	return 2;
}
