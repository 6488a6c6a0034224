// Command kstatus reads objects, one JSON document after another, and prints for each on a line what
// the library that Flux waits with makes of it: Current, InProgress, Failed, Terminating, and why.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewReader(os.Stdin)
	for {
		text, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) && strings.TrimSpace(text) == "" {
			return nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON([]byte(text)); err != nil {
			return err
		}
		result, err := status.Compute(object)
		if err != nil {
			return err
		}
		line, err := json.Marshal(map[string]string{"status": string(result.Status), "message": result.Message})
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
}
