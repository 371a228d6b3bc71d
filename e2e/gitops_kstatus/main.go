// kstatus reads a JSON array of Kubernetes objects on stdin and prints, one line per object, what kstatus makes of it:
// Current, InProgress, Failed or Terminating. It is the library that Flux's Kustomizations and Helm's --wait use.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func main() {
	if err := judge(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func judge() error {
	var items []json.RawMessage
	if err := json.NewDecoder(os.Stdin).Decode(&items); err != nil {
		return fmt.Errorf("reading objects from stdin: %w", err)
	}
	for number, item := range items {
		// Unstructured's own decoder keeps whole numbers whole, as the API machinery does; generations are such.
		var object unstructured.Unstructured
		if err := object.UnmarshalJSON(item); err != nil {
			return fmt.Errorf("reading object %d: %w", number, err)
		}
		result, err := status.Compute(&object)
		if err != nil {
			return fmt.Errorf("judging object %d: %w", number, err)
		}
		fmt.Println(result.Status)
	}
	return nil
}
