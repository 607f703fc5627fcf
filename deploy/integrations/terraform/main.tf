# A cancellation that `terraform apply` waits for. The apply fails if the outcome is not accepted.

terraform {
  required_version = ">= 1.2"
  required_providers {
    kubernetes = {
      source  = "hashicorp/kubernetes"
      version = ">= 2.20"
    }
  }
}

resource "kubernetes_manifest" "stop_agent_import" {
  manifest = {
    apiVersion = "opcancel.github.io/v1alpha1"
    kind       = "OperationCancellation"
    metadata = {
      name      = "stop-agent-import"
      namespace = "contact-center"
    }
    spec = {
      service       = "dialogflow"
      operationName = "projects/acme-prod/locations/europe-west1/operations/0b2c5f3e-9a41-4f5e-8d10-6a4d2c1e7b90"
    }
  }

  # Finished becomes True with any outcome. Ready would never become True after a bad one.
  wait {
    condition {
      type   = "Finished"
      status = "True"
    }
  }

  timeouts {
    create = "15m"
  }
}

# The resource does not keep the status, so this reads and checks it after the wait.
data "kubernetes_resource" "stop_agent_import" {
  api_version = "opcancel.github.io/v1alpha1"
  kind        = "OperationCancellation"

  metadata {
    name      = kubernetes_manifest.stop_agent_import.manifest.metadata.name
    namespace = kubernetes_manifest.stop_agent_import.manifest.metadata.namespace
  }

  depends_on = [kubernetes_manifest.stop_agent_import]

  lifecycle {
    postcondition {
      condition     = contains([for c in self.object.status.conditions : c.status if c.type == "Ready"], "True")
      error_message = "The operation was not stopped as wanted: ${join(" ", [for c in self.object.status.conditions : c.message if c.type == "Ready"])}"
    }
  }
}

output "outcome" {
  value = data.kubernetes_resource.stop_agent_import.object.status.outcome
}
