package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// healthCommand is for containers, whose images hold no HTTP client.
func healthCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "health URL",
		Short: "Ask URL once; exit 0 if it answers 200, for health checks of containers",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 5*time.Second)
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, args[0], nil)
			if err != nil {
				return fmt.Errorf("health: %w", err)
			}
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return fmt.Errorf("health: %w", err)
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusOK {
				said, err := io.ReadAll(io.LimitReader(response.Body, 4<<10))
				if err != nil {
					return fmt.Errorf("health: %w", err)
				}
				return fmt.Errorf("health: %s answers %s: %s", args[0], response.Status, said)
			}
			return nil
		},
	}
}
