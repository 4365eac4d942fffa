// build: gcc -O2 -fPIC -shared -w -fno-inline -fno-ipa-cp libinterposed.c -o $dir/libinterposed.so && gcc -O2 -w interposed.c -L$dir -linterposed -Wl,-rpath,$dir -o $out
// build: gcc -O1 -fPIC -shared -w -fno-inline -fno-plt libinterposed.c -o $dir/libinterposed.so && gcc -O2 -no-pie -w interposed.c -L$dir -linterposed -Wl,-rpath,$dir -o $out
// reasons: ignored
// What a library calls by name may be the program's function of that name, and its own by name is called with other
// arguments than directly. An exported function that nobody calls by name is called from its own object alone.
int use(int count);

int number(void) {
    return 4;
}

int main(int count, char **arguments) {
    use(count);
    return 0;
}
