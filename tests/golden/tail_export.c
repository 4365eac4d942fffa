// build: gcc -O2 -fPIC -shared -w libtail.c -o $dir/libtail.so && gcc -O2 -w tail_export.c -L$dir -ltail -Wl,-rpath,$dir -o $out
// build: clang -O2 -fPIC -shared -w libtail.c -o $dir/libtail.so && clang -O2 -fno-plt -w tail_export.c -L$dir -ltail -Wl,-rpath,$dir,--enable-new-dtags -o $out
// An exported function of a library ends in a tail call: its callers in the program are the sites.
int finish(int pid);
int finish_by_name(int pid);

int main(int count, char **arguments) {
    int sum = finish(count);
    sum += finish_by_name(count);
    return sum + 1;
}
