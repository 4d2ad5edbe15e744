package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// settleWithin bounds the wait until a new namespace and its attributes can be
// used; the server's caches learn of them about a second later.
const settleWithin = 60 * time.Second

// ensureNamespace registers the namespace and its search attributes through
// the public API and returns when both can be used. Each step may find its
// work done by an earlier start that was killed after it.
func ensureNamespace(ctx context.Context, c Config) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	conn, err := grpc.NewClient(c.frontend(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("dial the frontend: %w", err)
	}
	defer conn.Close()
	if err := registerNamespace(ctx, workflowservice.NewWorkflowServiceClient(conn), c); err != nil {
		return fmt.Errorf("namespace %s: %w", c.Namespace, err)
	}
	if err := addSearchAttributes(ctx, operatorservice.NewOperatorServiceClient(conn), c); err != nil {
		return fmt.Errorf("search attributes of namespace %s: %w", c.Namespace, err)
	}
	return nil
}

func registerNamespace(ctx context.Context, client workflowservice.WorkflowServiceClient, c Config) error {
	request := &workflowservice.RegisterNamespaceRequest{
		Namespace:                        c.Namespace,
		Description:                      "export runs of Export Center",
		WorkflowExecutionRetentionPeriod: durationpb.New(c.retention()),
	}
	return until(ctx, func() (bool, error) {
		_, err := client.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: c.Namespace})
		if err == nil {
			return true, nil
		}
		if status.Code(err) != codes.NotFound {
			return false, err
		}
		_, err = client.RegisterNamespace(ctx, request)
		return false, err
	})
}

func addSearchAttributes(ctx context.Context, client operatorservice.OperatorServiceClient, c Config) error {
	wanted := map[string]enums.IndexedValueType{}
	for name, kind := range c.SearchAttributes {
		t, err := enums.IndexedValueTypeFromString(kind)
		if err != nil {
			return fmt.Errorf("attribute %s has the unknown type %q", name, kind)
		}
		wanted[name] = t
	}
	return until(ctx, func() (bool, error) {
		have, err := client.ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: c.Namespace})
		if err != nil {
			return false, err
		}
		missing := map[string]enums.IndexedValueType{}
		for name, kind := range wanted {
			if have.CustomAttributes[name] == enums.INDEXED_VALUE_TYPE_UNSPECIFIED {
				missing[name] = kind
			}
		}
		if len(missing) == 0 {
			return true, nil
		}
		_, err = client.AddSearchAttributes(ctx, &operatorservice.AddSearchAttributesRequest{
			Namespace: c.Namespace, SearchAttributes: missing,
		})
		return false, err
	})
}

// until calls step, ten times a second, until it says done or ctx ends. What
// went wrong last is part of the answer.
func until(ctx context.Context, step func() (bool, error)) error {
	for {
		done, err := step()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			if err == nil {
				err = errors.New("accepted, but not usable yet")
			}
			return fmt.Errorf("gave up: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
