// argo_diff says what Argo CD would show as out of sync, by its own engine (gitops-engine, the revision of Argo CD 3.2).
//
//	argo_diff <pairs    one JSON object a line: see pair; one answer a line: see answer
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/argoproj/gitops-engine/pkg/diff"
	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// pair is an object as Git has it and as the cluster has it.
type pair struct {
	Desired *unstructured.Unstructured `json:"desired"`
	Live    *unstructured.Unstructured `json:"live"`
	// DryRun is what a server-side apply of Desired would make of it. With it the diff is that of the option ServerSideDiff,
	// without it the three-way diff, which is the default.
	DryRun *unstructured.Unstructured `json:"dryRun"`
}

type answer struct {
	OutOfSync bool `json:"outOfSync"`
	// Change is the merge patch from what is live to what a sync would make of it.
	Change string `json:"change"`
}

// dryRun answers with what it holds: the caller has asked the API server.
type dryRun struct {
	object *unstructured.Unstructured
}

func (d dryRun) Run(context.Context, *unstructured.Unstructured, string) (string, error) {
	text, err := d.object.MarshalJSON()
	return string(text), err
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "argo_diff:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var given pair
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			return err
		}
		if given.Desired == nil || given.Live == nil {
			return fmt.Errorf("desired or live is missing in: %s", lines.Text())
		}
		// As Argo CD is installed: rules that the cluster aggregates are compared unless it is told otherwise.
		options := []diff.Option{diff.IgnoreAggregatedRoles(false)}
		if given.DryRun != nil {
			options = append(options,
				diff.WithServerSideDiff(true),
				diff.WithServerSideDryRunner(dryRun{given.DryRun}),
				// There is no webhook here, so nothing to tell apart.
				diff.WithIgnoreMutationWebhook(false))
		}
		result, err := diff.Diff(given.Desired, given.Live, options...)
		if err != nil {
			return fmt.Errorf("%s %s: %w", given.Desired.GetKind(), given.Desired.GetName(), err)
		}
		change, err := jsonpatch.CreateMergePatch(result.NormalizedLive, result.PredictedLive)
		if err != nil {
			return err
		}
		if err := out.Encode(answer{result.Modified, string(change)}); err != nil {
			return err
		}
	}
	return lines.Err()
}
