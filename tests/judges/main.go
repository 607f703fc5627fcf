// judges says what tools that wait make of OperationCancellations: each with the engine that the tool itself uses, and with
// the files of deploy/integrations that people give it.
//
//	judges FOLDER <objects    FOLDER is deploy/integrations; one JSON object a line, one verdict a line
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	fluxkstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

// verdict is what all judges say of one object. A judge that fails says "error: why", which no test expects.
type verdict struct {
	// Name is metadata.name.
	Name string `json:"name"`
	// Kstatus is what kpt, kapp and others built on cli-utils see, and the message that they print.
	Kstatus opinion `json:"kstatus"`
	// Helm is the same from the fork that Helm 4 and, without expressions, Flux wait with.
	Helm opinion `json:"helm"`
	// Flux is what the expressions in flux/ come to.
	Flux opinion `json:"flux"`
	// Argo is what the health script in argo-cd/ comes to.
	Argo opinion `json:"argo"`
	// Actions are those that Argo CD offers, with the merge patch that each would apply.
	Actions map[string]string `json:"actions"`
	// Terraform is what terraform/ makes of it.
	Terraform terraformOpinion `json:"terraform"`
}

type opinion struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func failed(err error) opinion {
	return opinion{Status: "error: " + err.Error()}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "judges:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: judges FOLDER <objects, one a line")
	}
	folder := os.Args[1]
	argo, err := readArgo(folder + "/argo-cd/argocd-cm.yaml")
	if err != nil {
		return fmt.Errorf("argo-cd: %w", err)
	}
	flux, err := readFlux(folder + "/flux/kustomization.yaml")
	if err != nil {
		return fmt.Errorf("flux: %w", err)
	}
	terraform, err := readTerraform(folder + "/terraform/main.tf")
	if err != nil {
		return fmt.Errorf("terraform: %w", err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(lines.Bytes()); err != nil {
			return err
		}
		said := verdict{
			Name:      object.GetName(),
			Flux:      flux.judge(object),
			Argo:      argo.health(object),
			Terraform: terraform.judge(lines.Bytes()),
		}
		if result, err := status.Compute(object); err != nil {
			said.Kstatus = failed(err)
		} else {
			said.Kstatus = opinion{result.Status.String(), result.Message}
		}
		if result, err := fluxkstatus.Compute(object); err != nil {
			said.Helm = failed(err)
		} else {
			said.Helm = opinion{result.Status.String(), result.Message}
		}
		if said.Actions, err = argo.actions(object); err != nil {
			said.Actions = map[string]string{"error": err.Error()}
		}
		if err := out.Encode(said); err != nil {
			return err
		}
	}
	return lines.Err()
}
